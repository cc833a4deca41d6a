"""A synthesis as its listener gets it: the time to the first audio, and the silence between pieces."""

from __future__ import annotations

import time
from dataclasses import dataclass

from service.metrics.metrics import Metrics
from service.synthesis import in_flight
from service.synthesis.fair_queue import Priority
from service.telemetry.record import current_record


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


class Listener:
    """Measures one synthesis from its acceptance on; create it then. Only a stream has silence between pieces."""

    def __init__(self, metrics: Metrics, *, streamed: bool) -> None:
        self._metrics = metrics
        self._record = current_record()
        self._priority = Priority.BATCH if in_flight.is_batch() else Priority.PEOPLE
        self._playback = Playback() if streamed else None
        self._accepted = self._asked = time.monotonic()
        self.audio_s = 0.0

    def receive(self, length: float) -> None:
        """Record a piece of `length` seconds."""
        now = time.monotonic()
        if length and not self.audio_s:
            self._metrics.first_audio_seconds.labels(self._priority).observe(now - self._accepted)
            self._record.first_audio_s = self._record.first_audio_s or now - self._record.began
        if self._playback and (stall := self._playback.receive(self._asked, now, length)) is not None:
            self._metrics.stall_seconds.labels(self._priority).observe(stall)
        self.audio_s += length
        self._record.audio_s += length
        self._metrics.audio_seconds.inc(length)

    def ask(self) -> None:
        """Record that the client takes the next piece."""
        self._asked = time.monotonic()
