"""Is a colour that was taken out of rotation empty?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True)
class Load:
    """What is still on a colour, as the proxy and the service count it.

    Attributes:
        sessions: streams the proxy has on the server (scur).
        queued: requests the proxy keeps for it (qcur).
        requests: HTTP requests that the service is answering, event streams of web tabs not counted; None: no answer.
        streams: event streams of open web tabs; they end only when the tab is closed.
        jobs: syntheses accepted and not finished.
    """

    sessions: int
    queued: int
    requests: int | None
    streams: int = 0
    jobs: int = 0

    @property
    def work(self) -> int:
        """Requests that would be lost if the colour stopped now."""
        return max(self.sessions - self.streams, self.requests or 0, self.jobs) + self.queued


class Drained(Enum):
    EMPTY = auto()
    BUSY = auto()
    OVER_BUDGET = auto()


def judge(load: Load, waited_s: float, budget_s: float) -> Drained:
    """Empty when neither side knows of work; a service that does not answer leaves it to the proxy's count."""
    if load.work <= 0:
        return Drained.EMPTY
    return Drained.OVER_BUDGET if waited_s > budget_s else Drained.BUSY
