"""Which texts are accepted: those that can be spoken in time. Pure decisions; work is in seconds of inference.

A text is accepted if the work that is due before it (fair_queue) and its own fit three quarters of its deadline; the
rest is for short texts that pass it and for estimates that are too low. It is rejected before anything is spent on it
otherwise, with the time after which it fits.

That time holds a place: the service counts the promised work as if it waited, so that a newcomer does not take what a
rejected client was told to wait for. The same text gets the place. Promises are at most half of what may wait: if no
client comes back, the slots still have work.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from service.synthesis.fair_queue import PATIENCE

RETRY_AFTER_MAX_S = 60
_SHARE = 0.75
_SLOW = 3.0
_PROMISED = 0.5
_LEARNING_RATE = 0.1
_FIRST_CHARACTERS = 500.0  # weight of the engine's own figure among what is measured
_LONG = 200
_IDEOGRAPH = 3  # characters of an alphabet that take as long
_MARGIN = 1.1
_GRACE_S = 5.0
_SOON_S = 0.1


@dataclass(frozen=True)
class Size:
    """Length of a text in characters of an alphabet at normal speed, and its voice."""

    voice: str
    characters: float

    @classmethod
    def of(cls, text: str, voice: str, speed: float) -> Size:
        """Return the size of a text."""
        ideographs = sum(char >= "\u3040" for char in text)
        return cls(voice, (len(text) + (_IDEOGRAPH - 1) * ideographs) / speed)

    @property
    def kind(self) -> tuple[str, bool]:
        """Texts of a kind need about the same time per character: a short one has more overhead."""
        return self.voice, self.characters > _LONG


class Pace:
    """Seconds of inference per character, learned for each kind of text."""

    def __init__(self, characters_per_s: float) -> None:
        self._first = (_FIRST_CHARACTERS / characters_per_s, _FIRST_CHARACTERS)
        self._measured: dict[tuple[str, bool], tuple[float, float]] = {}

    def estimate(self, size: Size) -> float:
        """Return the expected seconds of inference of a text."""
        seconds, characters = self._measured.get(size.kind, self._first)
        return size.characters * seconds / characters

    def learn(self, size: Size, seconds: float) -> None:
        """Add the seconds that a text has taken."""
        before = self._measured.get(size.kind, self._first)
        kept_s, kept = (value * (1 - _LEARNING_RATE) for value in before)
        self._measured[size.kind] = (kept_s + seconds, kept + size.characters)


@dataclass(frozen=True)
class Claim:
    """Work of a text that is not done: `due` is when its last chunk is due, `deadline_s` counts from its acceptance."""

    work_s: float
    due: float
    deadline_s: float

    def before(self, due: float) -> float:
        """Return the part of the work that is due before this time."""
        return min(self.work_s, max(0.0, self.work_s - (self.due - due) / PATIENCE))


@dataclass(frozen=True)
class Promise:
    """A rejected text that may come back before the time `until`; it keeps the turn of its first try, `since`."""

    since: float
    work_s: float
    until: float

    @property
    def due(self) -> float:
        return due_at(self.since, self.work_s)


def deadline(work_s: float, usual_s: float) -> float:
    """Return the deadline of a text in seconds: the usual one, or longer for a long text of a slow engine."""
    return max(usual_s, _SLOW * work_s)


def due_at(accepted: float, work_s: float) -> float:
    """Return when work is due that a text has up to and including some chunk."""
    return accepted + PATIENCE * work_s


@dataclass(frozen=True)
class Queue:
    """What a new text finds: the work of the others, how many may wait, and how many do."""

    claims: Sequence[Claim]
    capacity: int
    waiting: int


class Admission:
    """Accepts the texts of one priority."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._promises: dict[Hashable, Promise] = {}

    def since(self, text: Hashable, now: float) -> float:
        """Return from when a text has its turn: its first try, if it comes back as told."""
        self._promises = {key: promise for key, promise in self._promises.items() if promise.until > now}
        promise = self._promises.get(text)
        return promise.since if promise else now

    def excess_s(self, text: Hashable, new: Claim, queue: Queue) -> float:
        """Return the seconds after which a text fits; not positive: now."""
        promised = [promise for promise in self._others(text) if promise.due <= new.due]
        first_s = sum(claim.before(new.due) for claim in queue.claims) + sum(promise.work_s for promise in promised)
        own = first_s / self._slots + new.work_s - _SHARE * new.deadline_s
        total_s = sum(claim.work_s for claim in queue.claims)
        longest_s = max(claim.deadline_s for claim in (new, *queue.claims))
        everyone = (total_s + new.work_s) / self._slots - longest_s
        surplus = queue.waiting + len(promised) + 1 - queue.capacity
        place = max(_SOON_S, surplus * total_s / max(1, len(queue.claims)) / self._slots) if surplus > 0 else 0.0
        return max(own, everyone, place)

    def reject(self, text: Hashable, new: Claim, excess_s: float, queue: Queue, now: float) -> int:
        """Return Retry-After, in seconds, of a text that does not fit, and promise it a place if there is room."""
        wait_s = min(max(1, math.ceil(excess_s * _MARGIN)), RETRY_AFTER_MAX_S)
        others = [promise.work_s for promise in self._others(text)]
        room_s = _PROMISED * _SHARE * new.deadline_s * self._slots
        if len(others) < _PROMISED * queue.capacity and sum(others) + new.work_s <= room_s:
            since = new.due - PATIENCE * new.work_s
            self._promises[text] = Promise(since, new.work_s, until=now + wait_s * _MARGIN + _GRACE_S)
        return wait_s

    def accept(self, text: Hashable) -> None:
        """Drop the promise to a text that has come back."""
        self._promises.pop(text, None)

    def _others(self, text: Hashable) -> list[Promise]:
        return [promise for key, promise in self._promises.items() if key != text]
