"""How much one client may ask for: requests and characters per minute, and requests at a time.

The two rates are token buckets that hold a minute's worth, so a burst of that much passes at once.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from service.errors import LimitError
from service.settings import Limits

_MINUTE = 60.0
_MOST_CLIENTS = 10_000
_SOON = 1


@dataclass
class _Bucket:
    """Tokens that were spent and have not come back yet."""

    spent: float = 0.0
    at: float = 0.0

    def spend(self, amount: int, per_minute: int, now: float, what: str) -> None:
        """Take `amount`, or raise LimitError that says when there will be enough."""
        if not per_minute:
            return
        self.spent = max(0.0, self.spent - (now - self.at) * per_minute / _MINUTE)
        self.at = now
        # What is more than a minute's worth waits until nothing is owed, and is then owed itself.
        over = self.spent + min(amount, per_minute) - per_minute
        if over > 0:
            raise LimitError(f"this client has had its {per_minute} {what} per minute",
                             retry_after=max(1, math.ceil(over * _MINUTE / per_minute)))  # fmt: skip
        self.spent += amount


@dataclass
class Client:
    """What one client has asked for lately; `on_refusal` is called for each time that it asked for too much."""

    name: str
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    on_refusal: Callable[[], None] = lambda: None
    running: int = 0
    _requests: _Bucket = field(default_factory=_Bucket)
    _characters: _Bucket = field(default_factory=_Bucket)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request for speech, from its start to its end; raise LimitError when it is one too many."""
        with self._told_of():
            if self.limits.concurrent and self.running >= self.limits.concurrent:
                message = f"this client has {self.running} requests in flight, the most that it may have"
                raise LimitError(message, code="too_many_at_once", retry_after=_SOON)
            self._requests.spend(1, self.limits.requests, self.clock(), "requests")
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def say(self, text: str) -> None:
        """Have a text spoken; raise LimitError when it is more than is left of this minute."""
        with self._told_of():
            self._characters.spend(len(text), self.limits.characters, self.clock(), "characters")

    @contextlib.contextmanager
    def _told_of(self) -> Iterator[None]:
        try:
            yield
        except LimitError:
            self.on_refusal()
            raise


class Clients:
    """The clients that were seen lately, by name; those that have been away longest are forgotten."""

    def __init__(
        self,
        most: int = _MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._most = most
        self._clock = clock
        self._on_refusal = on_refusal
        self._seen: OrderedDict[str, Client] = OrderedDict()

    def get(self, name: str, limits: Limits) -> Client:
        """The client of that name, with the limits that it has now."""
        client = self._seen.setdefault(name, Client(name, limits, self._clock, self._on_refusal))
        client.limits = limits
        self._seen.move_to_end(name)
        if len(self._seen) > self._most:
            oldest = next((name for name, known in self._seen.items() if not known.running), None)
            if oldest is not None:
                del self._seen[oldest]
        return client
