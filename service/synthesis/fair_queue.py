"""The order in which texts get slots: fair to short and long texts, to people and batches. Pure decisions.

**Order.** A text that is accepted at time A is due at A + PATIENCE x work, where work is the expected seconds of
inference up to and including its next chunk. The earliest due gets the next slot. So a short text passes a long one,
and two long ones take turns. Once there is more work than the slots can do, those that were accepted first finish
first: a due time never changes, and those of newcomers grow with the clock.

**One slot each.** A text gets a second slot only while no other text waits for its first.

**People and batches.** People have priority over batch items, but batches never starve: while both wait, a batch item
gets one slot in eight. The rule is a share, not a time, so that it fits sentences of 0.1 s and of 10 s. A batch item in
progress precedes those that have not started: fewer items in progress make a drain shorter. One that would otherwise
miss its deadline takes its turn among the people.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol, TypeVar

PEOPLE_IN_A_ROW = 7
PATIENCE = 4.0
"""A text counts as late once it has got less than one slot divided by this."""


class Priority(StrEnum):
    """Priority of a synthesis: for people or for a batch."""

    PEOPLE = "people"
    BATCH = "batch"


class Turn(Protocol):
    """A text that wants a slot."""

    @property
    def priority(self) -> Priority: ...

    @property
    def begun(self) -> bool:
        """Whether it has had a slot before."""

    @property
    def running(self) -> int:
        """Number of its chunks that have a slot now."""

    @property
    def due(self) -> float:
        """Time at which its next chunk is due, by the clock of `FairQueue.next`."""

    def urgent(self, now: float) -> bool:
        """Return whether it would miss its deadline as a batch item."""


T = TypeVar("T", bound=Turn)


class FairQueue:
    """Chooses the text that gets a slot."""

    def __init__(self) -> None:
        self._in_a_row = 0  # slots that went to people while a batch item waited

    def next(self, ready: Iterable[T], now: float) -> T | None:
        """Return which of the texts that can use a slot gets it; None if there is none."""
        everyone = list(ready)
        lanes: dict[Priority, list[T]] = {Priority.PEOPLE: [], Priority.BATCH: []}
        for turn in [turn for turn in everyone if not turn.running] or everyone:
            lanes[Priority.PEOPLE if turn.urgent(now) else turn.priority].append(turn)
        people, batch = lanes[Priority.PEOPLE], lanes[Priority.BATCH]
        if not batch:
            self._in_a_row = 0
        if batch and (not people or self._in_a_row >= PEOPLE_IN_A_ROW):
            self._in_a_row = 0
            return min(batch, key=lambda turn: (not turn.begun, turn.due))
        self._in_a_row += bool(batch)
        return min(people, key=lambda turn: turn.due, default=None)
