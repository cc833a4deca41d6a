"""Rate limits of a client: requests per minute, characters per minute, and concurrent requests.

Each of the two rates is a token bucket that holds the tokens of one minute, so a burst of that size passes at once.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from service.errors import RateLimitedError
from service.settings import Limits

_MINUTE = 60.0
_MAX_CLIENTS = 10_000
_SOON = 1


@dataclass
class _Bucket:
    """Token bucket; `spent` tokens are not refilled yet."""

    spent: float = 0.0
    at: float = 0.0

    def spend(self, amount: int, per_minute: int, now: float, unit: str) -> None:
        """Spend `amount` tokens, or raise RateLimitedError with the time until enough are available."""
        if not per_minute:
            return
        self.spent = max(0.0, self.spent - (now - self.at) * per_minute / _MINUTE)
        self.at = now
        # A request above a minute's worth needs a full bucket. Its whole cost is then charged.
        over = self.spent + min(amount, per_minute) - per_minute
        if over > 0:
            raise RateLimitedError(
                f"rate limit reached: {per_minute} {unit} per minute",
                retry_after=max(1, math.ceil(over * _MINUTE / per_minute)),
            )
        self.spent += amount


@dataclass
class Client:
    """Usage of one client; `on_refusal` is called once for each rejected request."""

    name: str
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    on_refusal: Callable[[], None] = lambda: None
    running: int = 0
    _requests: _Bucket = field(default_factory=_Bucket)
    _characters: _Bucket = field(default_factory=_Bucket)

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count one speech request from start to end; raise RateLimitedError if it exceeds a limit."""
        with self._counting_refusals():
            if self.limits.concurrent and self.running >= self.limits.concurrent:
                message = f"limit reached: {self.limits.concurrent} concurrent requests"
                raise RateLimitedError(message, code="too_many_at_once", retry_after=_SOON)
            self._requests.spend(1, self.limits.requests, self.clock(), "requests")
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def charge(self, text: str) -> None:
        """Charge the characters of a text; raise RateLimitedError if they exceed the rest of this minute's limit."""
        with self._counting_refusals():
            self._characters.spend(len(text), self.limits.characters, self.clock(), "characters")

    @contextlib.contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except RateLimitedError:
            self.on_refusal()
            raise


class Clients:
    """Recently seen clients by name; the least recently seen one without a running request is evicted."""

    def __init__(
        self,
        max_clients: int = _MAX_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_clients = max_clients
        self._clock = clock
        self._on_refusal = on_refusal
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def get(self, name: str, limits: Limits) -> Client:
        """Return the client of that name, with its current limits."""
        client = self._clients.setdefault(name, Client(name, limits, self._clock, self._on_refusal))
        client.limits = limits
        self._clients.move_to_end(name)
        if len(self._clients) > self._max_clients:
            oldest = next((name for name, known in self._clients.items() if not known.running), None)
            if oldest is not None:
                del self._clients[oldest]
        return client
