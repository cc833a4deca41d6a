"""Limit of requests in flight: one more per successful round, half after a rejection (AIMD, as in TCP)."""

from __future__ import annotations

import math
from dataclasses import dataclass

_KEPT = 0.5


@dataclass
class Limit:
    """Pure; times are in seconds of any one clock."""

    low: int
    high: int
    value: float
    _lowered: float = -math.inf

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return int(self.value)

    def accepted(self, in_flight: int) -> None:
        """Record a success with that many requests in flight; only a limit that is reached may grow."""
        if in_flight >= self.allowed:
            self.value = min(self.high, self.value + 1 / self.value)

    def refused(self, sent: float, now: float) -> None:
        """Record a rejection of a request sent at that time; ignore one sent before the last reduction."""
        if sent > self._lowered:
            self.value = max(self.low, self.value * _KEPT)
            self._lowered = now
