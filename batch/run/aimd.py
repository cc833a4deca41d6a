"""How many requests are in flight: one more for each round that went well, half after a refusal (AIMD, as in TCP)."""

from __future__ import annotations

import math
from dataclasses import dataclass

_KEPT = 0.5


@dataclass
class Limit:
    """Pure; times are of any one clock, in seconds."""

    low: int
    high: int
    value: float
    _lowered: float = -math.inf

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return int(self.value)

    def accepted(self, in_flight: int) -> None:
        """A request was served while so many were in flight; only a limit that is used up is shown to be too low."""
        if in_flight >= self.allowed:
            self.value = min(self.high, self.value + 1 / self.value)

    def refused(self, sent: float, now: float) -> None:
        """The service had no room for a request that was sent then. What was sent before the last cut tells nothing."""
        if sent > self._lowered:
            self.value = max(self.low, self.value * _KEPT)
            self._lowered = now
