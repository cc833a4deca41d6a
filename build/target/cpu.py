"""CPU time of a starting container: what it received, how long it waited, and the weight that it gets for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A candidate loads beside live traffic, so it gets only spare CPU time while the host has some (decision 4).
CANDIDATE_WEIGHT, SERVING_WEIGHT = 64, 1024
RAISE = 2
WINDOW_S = 5.0
STARVED = 0.25  # of one core
CONTENDED = 25.0  # percent of the time in which a process of the container waited for a CPU


@dataclass(frozen=True)
class HostCpu:
    """The host's CPUs as a container sees them.

    Attributes:
        waiting: percent of the last 10 s in which one of its processes waited for a CPU; None: the kernel does not say.
        load: the host's load average over a minute; None if unknown.
        cores: the host's cores; 0 if unknown.
    """

    waiting: float | None = None
    load: float | None = None
    cores: int = 0

    @property
    def contended(self) -> bool:
        """Whether the container's processes wait for a CPU; true if unknown, since a starving one may not answer."""
        if self.waiting is None:
            return self.load is None or self.saturated
        return self.waiting >= CONTENDED

    @property
    def saturated(self) -> bool:
        """Whether more processes of the host want a CPU than there are."""
        return self.load is not None and 0 < self.cores < self.load

    def __str__(self) -> str:
        load = "unknown" if self.load is None else f"{self.load:.1f}"
        return f"the host's load is {load} on {self.cores} cores"

    @classmethod
    def from_proc(cls, text: str, cores: int) -> HostCpu:
        """Parse the lines of cpu.pressure (cgroup v2; may be missing) and of /proc/loadavg."""
        waiting = load = None
        for line in text.splitlines():
            first, _, others = line.partition(" ")
            if first == "some":
                waiting = float(others.split()[0].removeprefix("avg10="))
            elif first != "full":
                load = float(first)
        return cls(waiting, load, cores)


def service_time(rows: Iterable[Sequence[str]], root: int) -> float:
    """Return the CPU time (s) of the process `root` and its descendants, of `ps` rows of pid, parent and seconds.

    Probes run by `docker exec` have another parent, so their CPU time does not pass for the service's.
    """
    table = [(int(pid), int(parent), float(seconds)) for pid, parent, seconds in rows]
    own = {root}
    while fresh := {pid for pid, parent, _ in table if parent in own} - own:
        own |= fresh
    return sum(seconds for pid, _, seconds in table if pid in own)


@dataclass
class CpuMeter:
    """CPU time (s) that a service received over a series of readings, some of which may be missing."""

    received_s: float = 0.0
    _latest: float | None = None

    def read(self, cpu_s: float | None) -> None:
        """Add a reading; a smaller one means that a process has exited."""
        if cpu_s is None:
            return
        if self._latest is not None:
            self.received_s += max(0.0, cpu_s - self._latest)
        self._latest = cpu_s

    @property
    def known(self) -> bool:
        """Whether there was a reading."""
        return self._latest is not None


@dataclass
class WeightLadder:
    """Decide when a starting container gets a higher CPU weight: step by step up to that of a live release."""

    weight: int
    _window: tuple[float, float] | None = None  # its begin, and the CPU time received until then

    def starved(self, at: float, meter: CpuMeter) -> bool:
        """Return whether a window has ended in which the container received little CPU time; begin the next one."""
        if self.weight >= SERVING_WEIGHT or not meter.known:
            return False
        began, before_s = self._window or (at, meter.received_s)
        ended = at - began >= WINDOW_S
        self._window = (at, meter.received_s) if ended else (began, before_s)
        return ended and meter.received_s - before_s < STARVED * (at - began)

    def climb(self) -> int:
        """Return the next weight."""
        self.weight = min(SERVING_WEIGHT, self.weight * RAISE)
        return self.weight
