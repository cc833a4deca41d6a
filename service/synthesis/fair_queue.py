"""Whose turn it is: so many slots, and who waits for one. People come first, and a batch is never left out for good.

While both wait, one slot in eight is a batch's: who is n-th among batch items has waited for at most 8 n inferences. A
share and no span of time, since it holds for a sentence of 0.1 s as for one of 10 s. A batch item that has begun comes
before those that have not: the fewer are under way, the sooner a drain ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from enum import StrEnum

PEOPLE_IN_A_ROW = 7


class Priority(StrEnum):
    """Who waits for a synthesis."""

    PEOPLE = "people"
    BATCH = "batch"


class Turns:
    """Slots, taken one at a time in order of asking within each lane. Of one event loop."""

    def __init__(self, slots: int) -> None:
        self.free = slots
        self._people: deque[asyncio.Future[None]] = deque()
        self._begun: deque[asyncio.Future[None]] = deque()
        self._batch: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0  # slots that people got while a batch item waited

    async def acquire(self, priority: Priority, *, begun: bool) -> None:
        """Take a slot, or wait for one; `begun`: the synthesis has had one before."""
        if self.free:  # then nobody waits
            self.free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        lane = self._people if priority is Priority.PEOPLE else self._begun if begun else self._batch
        lane.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # it leaves in the moment that it is given its slot
                self.release()
            raise
        finally:
            lane.remove(waiter)

    def release(self) -> None:
        """Give a slot back, to whoever is next."""
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
    """Who is next of a lane: those that have got a slot, or have left, are out of it as soon as they run."""
    return next((waiter for waiter in lane if not waiter.done()), None)
