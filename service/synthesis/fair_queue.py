"""Slots and the queue for them. People have priority over batches, but batches never starve.

While both wait, a batch item gets one slot in eight: the n-th batch item waits for at most 8 n inferences. The rule is
a share, not a time, so that it fits sentences of 0.1 s and of 10 s. A batch item in progress precedes those that have
not started: fewer items in progress make a drain shorter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from enum import StrEnum

PEOPLE_IN_A_ROW = 7


class Priority(StrEnum):
    """Priority of a synthesis: for people or for a batch."""

    PEOPLE = "people"
    BATCH = "batch"


class PrioritySlots:
    """Slots, assigned in order of the requests within each lane; for a single event loop."""

    def __init__(self, slots: int) -> None:
        self.free = slots
        self._people: deque[asyncio.Future[None]] = deque()
        self._begun: deque[asyncio.Future[None]] = deque()
        self._batch: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0  # slots that went to people while a batch item waited

    async def acquire(self, priority: Priority, *, begun: bool) -> None:
        """Acquire a slot; `begun`: the synthesis has had one before."""
        if self.free:  # then no request waits
            self.free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        lane = self._people if priority is Priority.PEOPLE else self._begun if begun else self._batch
        lane.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # cancelled at the moment when it got its slot
                self.release()
            raise
        finally:
            lane.remove(waiter)

    def release(self) -> None:
        """Release a slot and hand it to the next waiter."""
        people, batch = _first(self._people), _first((*self._begun, *self._batch))
        if batch is None:
            self._in_a_row = 0
        chosen = people
        if batch and (people is None or self._in_a_row >= PEOPLE_IN_A_ROW):
            chosen, self._in_a_row = batch, 0
        elif batch:
            self._in_a_row += 1
        if chosen is None:
            self.free += 1
        else:
            chosen.set_result(None)


def _first(lane: Iterable[asyncio.Future[None]]) -> asyncio.Future[None] | None:
    """Return the next waiter of a lane. Those that have a slot or were cancelled stay in the lane until they run."""
    return next((waiter for waiter in lane if not waiter.done()), None)
