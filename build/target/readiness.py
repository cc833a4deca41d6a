"""Judge a starting candidate: ready, exited, stalled or still in progress. Progress extends the deadline."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from build.target.cpu import CpuMeter

CPU_PROGRESS = 0.02  # of one core; a hung service uses less to answer probes


@dataclass(frozen=True)
class ContainerSnapshot:
    """The candidate at one moment.

    Attributes:
        at: seconds on any monotonic clock.
        running: the container runs and its restart policy never restarted it.
        exit_code: exit code of a container that does not run.
        phase: the service's phase; empty while it does not answer.
        progress: the service's count of start-up steps.
        error: the service's error.
        cpu_s: CPU time of the service's processes that exist now, without probes; None if unknown.
    """

    at: float
    running: bool
    exit_code: int | None = None
    phase: str = ""
    progress: int = 0
    error: str = ""
    cpu_s: float | None = None


class Readiness(Enum):
    READY = auto()
    WAIT = auto()
    EXITED = auto()
    STALLED = auto()
    TOO_LATE = auto()


@dataclass
class Warmup:
    """Judge a series of snapshots. `stall_s` limits the time without progress, `budget_s` the total.

    Progress is a new phase, a finished step, or CPU time: on a busy host a step may take longer than `stall_s`.
    """

    stall_s: float
    budget_s: float
    began: float
    cpu: CpuMeter = field(default_factory=CpuMeter)
    _latest: tuple[str, int] = ("", 0)
    _moved: float | None = None
    _counted_s: float = 0.0  # CPU time received at the last progress

    def judge(self, snapshot: ContainerSnapshot) -> Readiness:
        """Judge the newest snapshot; snapshots must come in order of time."""
        if not snapshot.running or snapshot.phase == "failed":
            return Readiness.EXITED
        if snapshot.phase == "ready":
            return Readiness.READY
        self.cpu.read(snapshot.cpu_s)
        if self._progressed(snapshot) or self._moved is None:
            self._moved, self._counted_s = snapshot.at, self.cpu.received_s
        if snapshot.at - self.began > self.budget_s:
            return Readiness.TOO_LATE
        return Readiness.STALLED if snapshot.at - self._moved > self.stall_s else Readiness.WAIT

    def restart(self, at: float) -> None:
        """Restart the stall timeout: the service has got a higher CPU weight."""
        self._moved = at

    def _progressed(self, snapshot: ContainerSnapshot) -> bool:
        state = (snapshot.phase, snapshot.progress)
        # A service that does not answer a probe in time has not progressed, nor has it when it answers again.
        changed = bool(snapshot.phase) and state != self._latest
        self._latest = state if changed else self._latest
        return changed or self.cpu.received_s - self._counted_s >= CPU_PROGRESS * self.stall_s
