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
    """Judge a series of looks. `stall_s` limits the time without progress, `budget_s` the total."""

    stall_s: float
    budget_s: float
    began: float
    _latest: tuple[str, int] = ("", 0)
    _moved: float | None = None

    def judge(self, look: ContainerSnapshot) -> Readiness:
        """Judge the newest look; looks must come in order of time."""
        if not look.running or look.phase == "failed":
            return Readiness.EXITED
        if look.phase == "ready":
            return Readiness.READY
        if self._moved is None or (look.phase, look.progress) != self._latest:
            self._latest, self._moved = (look.phase, look.progress), look.at
        if look.at - self.began > self.budget_s:
            return Readiness.TOO_LATE
        return Readiness.STALLED if look.at - self._moved > self.stall_s else Readiness.WAIT
