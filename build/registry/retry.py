"""Retries of transient registry failures with growing waits, limited in number and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from build.errors import RegistryError

T = TypeVar("T")
_growing = wait_random_exponential(multiplier=0.5, max=15)


class TransientError(Exception):
    """A transient failure; a retry may succeed.

    Attributes:
        failure: the error to raise if no retry succeeds.
        after_s: seconds to wait, as requested by the registry; 0 if it requests nothing.
    """

    def __init__(self, failure: RegistryError, after_s: float = 0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.after_s = after_s


def _silent(_message: str) -> None:
    """Default for `RetryPolicy.note`: ignore the message."""


@dataclass(frozen=True)
class RetryPolicy:
    """Retry policy.

    Attributes:
        attempts: maximum number of attempts.
        total_s: seconds after which no further attempt starts.
        note: called with a message for each failed attempt before a retry.
    """

    attempts: int = 6
    total_s: float = 60
    sleep: Callable[[float], None] = time.sleep
    note: Callable[[str], None] = _silent

    def run(self, call: Callable[[], T]) -> T:
        """Call until it returns or raises something other than TransientError.

        Raises:
            RegistryError: all attempts failed; it contains the last failure and the number of attempts.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.total_s),
            wait=_wait_s,
            sleep=self.sleep,
            before_sleep=lambda state: self.note(f"{_message(state)}; retrying in {state.upcoming_sleep:.1f} s"),
        )
        try:
            return retrying(call)
        except RetryError as exhausted:
            failure = _failure(exhausted.last_attempt.exception())
            raise RegistryError(
                f"{failure.message} (failed after {exhausted.last_attempt.attempt_number} attempts)",
                remedy=failure.remedy,
                detail=failure.detail,
            ) from None


def _failure(error: BaseException | None) -> RegistryError:
    return error.failure if isinstance(error, TransientError) else RegistryError(str(error))


def _message(state: RetryCallState) -> str:
    return _failure(state.outcome.exception() if state.outcome else None).message


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    requested_s = error.after_s if isinstance(error, TransientError) else 0
    return max(requested_s, _growing(state))
