"""Meaning of a response for its task, and the delay before the next try. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_LONGEST_PAUSE_S = 30.0
_LONGEST_RETRY_AFTER_S = 300.0
_FIRST_PAUSE_S = 0.5


class ResponseAction(Enum):
    """Action after a response."""

    DONE = "done"
    WAIT = "wait"  # temporary state of the service, not the task's fault: retried until patience_s is over
    RETRY = "retry"  # may be temporary, may be the task's fault: retried a few times
    FAILED = "failed"  # every retry would fail
    STOP = "stop"  # every task would get the same response


@dataclass(frozen=True, slots=True)
class Response:
    """Result of one request. `status` 0: no response; then `sent` says whether the service may have received it."""

    status: int
    sent: bool = True
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    content: bytes = b""
    duration_s: float = 0.0
    release: str = ""
    request_id: str = ""
    seconds: float = 0.0

    @property
    def description(self) -> str:
        """Status, code and message as text."""
        return self.message if not self.status else f"{self.status} {self.code}: {self.message}".replace(" :", ":")


BROKEN = "broken_audio"
"""Code of a 200 response with incomplete audio."""


def judge(response: Response) -> ResponseAction:  # noqa: PLR0911 - a table
    """Return the action after a response."""
    match response.status:
        case 200:
            return ResponseAction.RETRY if response.code == BROKEN else ResponseAction.DONE
        case 0:
            return ResponseAction.RETRY if response.sent else ResponseAction.WAIT
        case 425 | 429 | 503:
            return ResponseAction.WAIT
        case 401 | 403 | 404 | 405 | 407:
            return ResponseAction.STOP
        case status if status < 400:
            return ResponseAction.STOP
        case 408:
            return ResponseAction.RETRY
        case status if status < 500:
            return ResponseAction.FAILED
        case 501 | 505:
            return ResponseAction.FAILED
        case _:
            return ResponseAction.RETRY


def pause_s(tries: int, retry_after_s: float | None, chance: float) -> float:
    """Return the seconds before the next try, after `tries` tries (from 1); `chance`, 0 to 1, adds jitter."""
    if retry_after_s is not None:
        return min(retry_after_s, _LONGEST_RETRY_AFTER_S) * (1 + chance / 4)
    return min(_FIRST_PAUSE_S * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE_S) * (0.5 + chance / 2)
