"""Judge a starting candidate: ready, exited, stalled or still in progress. Progress extends the deadline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


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
    """

    at: float
    running: bool
    exit_code: int | None = None
    phase: str = ""
    progress: int = 0
    error: str = ""


class Readiness(Enum):
    READY = auto()
    WAIT = auto()
    EXITED = auto()
    STALLED = auto()
    TOO_LATE = auto()


@dataclass
class Warmup:
    """Judge a series of snapshots. `stall_s` limits the time without progress, `budget_s` the total."""

    stall_s: float
    budget_s: float
    began: float
    _latest: tuple[str, int] = ("", 0)
    _moved: float | None = None

    def judge(self, snapshot: ContainerSnapshot) -> Readiness:
        """Judge the newest snapshot; snapshots must come in order of time."""
        if not snapshot.running or snapshot.phase == "failed":
            return Readiness.EXITED
        if snapshot.phase == "ready":
            return Readiness.READY
        if self._moved is None or (snapshot.phase, snapshot.progress) != self._latest:
            self._latest, self._moved = (snapshot.phase, snapshot.progress), snapshot.at
        if snapshot.at - self.began > self.budget_s:
            return Readiness.TOO_LATE
        return Readiness.STALLED if snapshot.at - self._moved > self.stall_s else Readiness.WAIT
