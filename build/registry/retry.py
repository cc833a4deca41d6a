"""Another attempt at what can pass by itself, with growing waits; bounded in number and in time."""

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


class PassingError(Exception):
    """A failure that another attempt may not meet.

    Attributes:
        after_s: seconds that the other side asks to be left alone; 0 where it says nothing.
    """

    def __init__(self, failure: RegistryError, after_s: float = 0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.after_s = after_s


def _silent(_words: str) -> None:
    """For those who want to hear nothing of attempts."""


@dataclass(frozen=True)
class Patience:
    """How often and how long to try.

    Attributes:
        attempts: in all.
        total_s: no attempt begins later than this.
        note: told of each failed attempt that is followed by another one.
    """

    attempts: int = 6
    total_s: float = 60
    sleep: Callable[[float], None] = time.sleep
    note: Callable[[str], None] = _silent

    def run(self, call: Callable[[], T]) -> T:
        """Calls until it returns, or raises something other than PassingError.

        Raises:
            RegistryError: the last attempt's failure, with the number of attempts.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(PassingError),
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.total_s),
            wait=_wait_s,
            sleep=self.sleep,
            before_sleep=lambda state: self.note(f"{_failed(state)}; another attempt in {state.upcoming_sleep:.1f} s"),
        )
        try:
            return retrying(call)
        except RetryError as given_up:
            failure = _failed_with(given_up.last_attempt.exception())
            raise RegistryError(
                f"{failure.message} (given up after {given_up.last_attempt.attempt_number} attempts)",
                remedy=failure.remedy,
                detail=failure.detail,
            ) from None


def _failed_with(error: BaseException | None) -> RegistryError:
    return error.failure if isinstance(error, PassingError) else RegistryError(str(error))


def _failed(state: RetryCallState) -> str:
    return _failed_with(state.outcome.exception() if state.outcome else None).message


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.after_s if isinstance(error, PassingError) else 0
    return max(asked_s, _growing(state))
