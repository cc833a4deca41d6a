"""A starting candidate: ready, gone, stuck, or still getting there. Deadlines follow progress, not the clock alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True)
class Look:
    """The candidate at one moment.

    Attributes:
        at: seconds on any monotonic clock.
        running: the container runs and was never restarted by its policy.
        exit_code: of the container, when it does not run.
        phase: what the service says it is doing; empty while it does not answer.
        progress: the service's own count of start-up steps.
        error: why the service says it failed.
    """

    at: float
    running: bool
    exit_code: int | None = None
    phase: str = ""
    progress: int = 0
    error: str = ""


class Outcome(Enum):
    READY = auto()
    WAIT = auto()
    EXITED = auto()
    STALLED = auto()
    TOO_LATE = auto()


@dataclass
class Warmup:
    """Judges a series of looks. `stall_s` is how long nothing may change, `budget_s` bounds the whole."""

    stall_s: float
    budget_s: float
    began: float
    _seen: tuple[str, int] = ("", 0)
    _moved: float | None = None

    def judge(self, look: Look) -> Outcome:
        """What the newest look means; looks must come in order of time."""
        if not look.running or look.phase == "failed":
            return Outcome.EXITED
        if look.phase == "ready":
            return Outcome.READY
        if self._moved is None or (look.phase, look.progress) != self._seen:
            self._seen, self._moved = (look.phase, look.progress), look.at
        if look.at - self.began > self.budget_s:
            return Outcome.TOO_LATE
        return Outcome.STALLED if look.at - self._moved > self.stall_s else Outcome.WAIT
