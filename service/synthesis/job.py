"""One accepted text. Worker threads speak its chunks, in any order; the client gets them in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from service.engine import Audio, Chunk
from service.synthesis.admission import Claim, Size
from service.synthesis.fair_queue import Priority
from service.synthesis.in_flight import TrackedRequest

_SENTENCE = 80.0  # characters

OnPosition = Callable[[int], None]
"""Receives the number of syntheses ahead of a waiting one, on acceptance and on each change."""


class Part(NamedTuple):
    """Speech of one chunk; `encoded` is what the encoder returned for it."""

    samples: Audio
    encoded: bytes
    last: bool


@dataclass(frozen=True, eq=False)
class Task:
    """A text to synthesize, as functions that worker threads call.

    `encode` gets the speech in order, each with whether it is the last, one at a time. `parallel` is as in the engine's
    Description. `text` identifies the text if its client retries.
    """

    plan: Callable[[], Sequence[Chunk]]
    speak: Callable[[Chunk, bool], Audio]
    encode: Callable[[Audio, bool], bytes]
    parallel: bool
    size: Size
    text: Hashable


class Hooks(NamedTuple):
    """What worker threads ask and tell the scheduler; `spoke` gets the speech of a chunk and the seconds it took."""

    alone: Callable[[], bool]
    planned: Callable[[], None]
    spoke: Callable[[Audio, float], None]


@dataclass(frozen=True)
class Terms:
    """What was decided about a text on acceptance; times by the clock of the event loop."""

    priority: Priority
    accepted: float
    claim: Claim
    request: TrackedRequest | None


class Job:
    """An accepted text. All methods but `work` run on the event loop; `ahead` limits the chunks begun and not taken."""

    def __init__(self, task: Task, terms: Terms, ahead: int, on_position: OnPosition | None = None) -> None:
        self.task = task
        self.terms = terms
        self._claim = terms.claim
        self.on_position = on_position
        self.priority = terms.priority
        self.running = 0
        self.worked_s = 0.0
        self.alone = False  # an inference of it used all processors
        self.ended = False
        self._failed = False
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._chunks: Sequence[Chunk] | None = None
        self._submitted = 0
        self._taken = 0
        self._shares: list[float] | None = None  # of the work, up to each chunk
        self._done = 0.0  # share of the work
        self._began = terms.accepted
        self._output: asyncio.Queue[Part | Exception] = asyncio.Queue()
        self._in_order = threading.Lock()
        self._spoken: dict[int, Audio] = {}
        self._encoded = 0

    @property
    def begun(self) -> bool:
        return self._submitted > 0

    @property
    def ready(self) -> bool:
        """Whether a slot could speak its next chunk now."""
        if self.ended:
            return False
        if self._chunks is None:
            return not self._submitted
        more = self._submitted < min(len(self._chunks), self._taken + self._ahead)
        return more and (self.task.parallel or not self.running)

    @property
    def complete(self) -> bool:
        """Whether all of it has been spoken."""
        all_submitted = self._chunks is not None and self._submitted == len(self._chunks)
        return all_submitted and not self.running and not self._failed

    @property
    def due(self) -> float:
        """Time at which its next chunk is due."""
        return self._claim.due - self._claim.patience * self._claim.work_s * (1 - self._share(self._submitted + 1))

    @property
    def claim(self) -> Claim:
        """Its work that is not done."""
        return replace(self._claim, work_s=self._claim.work_s * (1 - self._done))

    def urgent(self, now: float) -> bool:
        """Return whether it has begun and less than twice the time that it needs is left to its deadline."""
        return self.begun and now + 2 * self.claim.work_s > self._began + self._claim.deadline_s

    def submit(self, now: float) -> int:
        """Return the number of the next chunk, which gets a slot."""
        if not self._submitted:
            self._began = now
        self._submitted += 1
        self.running += 1
        return self._submitted - 1

    def leave_slot(self, seconds: float) -> None:
        """Count one chunk as done after so many seconds in its slot."""
        self.worked_s += seconds
        self.running -= 1
        self._done = self._share(self._submitted - self.running)

    def _share(self, chunks: int) -> float:
        """Return the share of the work in the first chunks. Before the plan, the first one is taken for a sentence."""
        if self._shares is None:
            return min(1.0, _SENTENCE / max(1.0, self.task.size.characters)) if chunks else 0.0
        return self._shares[min(chunks, len(self._shares) - 1)]

    async def take(self) -> Part:
        """Return the next part; raise the error of the engine or of the scheduler."""
        part = await self._output.get()
        if isinstance(part, Exception):
            raise part
        self._taken += 1
        return part

    def fail(self, error: Exception) -> None:
        """End the text with an error; its client gets the parts that are done first."""
        self.ended = self._failed = True
        self._output.put_nowait(error)

    def work(self, number: int, hooks: Hooks) -> None:
        """Speak one chunk and encode what is complete, in a worker thread."""
        began = time.monotonic()
        chunks = self._chunks or self._plan(hooks.planned)
        if not chunks:
            self._deliver(Part(np.zeros(0, np.int16), b"", last=True))
        elif not self.ended:
            lone = number + 1 == len(chunks) and hooks.alone()
            samples = self.task.speak(chunks[number], lone)
            hooks.spoke(samples, time.monotonic() - began)
            with self._in_order:
                self._spoken[number] = samples
                self.alone |= lone
                self._deliver_complete(len(chunks))

    def _plan(self, planned: Callable[[], None]) -> Sequence[Chunk]:
        chunks = self.task.plan()
        totals = list(accumulate((chunk.work for chunk in chunks), initial=0.0))
        self._shares = [total / (totals[-1] or 1.0) for total in totals]
        self._chunks = chunks
        if len(chunks) > 1:
            self._call(planned)
        return chunks

    def _deliver_complete(self, chunks: int) -> None:
        """Encode and deliver the parts whose turn has come."""
        while not self.ended and self._encoded in self._spoken:
            samples = self._spoken.pop(self._encoded)
            self._encoded += 1
            last = self._encoded == chunks
            self._deliver(Part(samples, self.task.encode(samples, last), last))

    def _deliver(self, part: Part) -> None:
        self._call(self._output.put_nowait, part)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed when the last thread ends
            self._loop.call_soon_threadsafe(function, *args)
