"""Silence that a listener hears between the pieces of a stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Playback:
    """A listener who plays each piece as soon as it arrives. Times are in seconds of any one clock."""

    ends: float | None = None

    def receive(self, asked: float, received: float, length: float) -> float | None:
        """Return the silence before a piece of `length` that was asked for and received at these times.

        Only the wait for the service counts, not the time in which a slow client asks for nothing. The first piece has
        no silence before it: None.
        """
        stall = None if self.ends is None else max(0.0, received - max(asked, self.ends))
        self.ends = max(received, self.ends or received) + length
        return stall
