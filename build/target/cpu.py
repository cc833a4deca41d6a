"""CPU time of a starting container: what it received, how long it waited, and the weight that it gets for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A candidate loads beside live traffic, so it gets only spare CPU time while the host has some (decision 4).
CANDIDATE_WEIGHT, SERVING_WEIGHT = 64, 1024
RAISE = 4
WINDOW_S = 5.0
STARVED = 0.25  # of one core
SLOW_POLL_S = 1.0  # a poll of a container that gets its CPU time takes 0.1 s
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
    def saturated(self) -> bool:
        """Whether the container's processes wait for a CPU; without the kernel's figure, whether more run than fit."""
        if self.waiting is not None:
            return self.waiting >= CONTENDED
        return self.load is not None and 0 < self.cores < self.load

    def __str__(self) -> str:
        load = "unknown" if self.load is None else f"{self.load:.1f}"
        waiting = "" if self.waiting is None else f"it waited for a CPU {self.waiting:.0f} % of the time, and "
        return f"{waiting}the host's load is {load} on {self.cores} cores"

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
    began: float
    _before_s: float = 0.0  # CPU time received before the window that `began`

    def starved(self, at: float, poll_s: float, meter: CpuMeter) -> bool:
        """Return whether a window has ended in which the container received little CPU time; begin the next one.

        A slow poll shows that it wanted more: a probe runs in the container, with its weight. Beside a disk or a
        network that is slow, polls are fast.
        """
        if self.weight >= SERVING_WEIGHT or not meter.known:
            return False
        took_s, received_s = at - self.began, meter.received_s - self._before_s
        if took_s < WINDOW_S:
            return False
        self.began, self._before_s = at, meter.received_s
        return poll_s >= SLOW_POLL_S and received_s < STARVED * took_s

    def climb(self) -> int:
        """Return the next weight."""
        self.weight = min(SERVING_WEIGHT, self.weight * RAISE)
        return self.weight
