"""Which texts are accepted: those that can be spoken in time. Pure decisions; work is in seconds of inference.

A text is accepted if the work that is due before it (fair_queue) and its own fit three quarters of its deadline; the
rest is for short texts that pass it and for estimates that are too low. It is rejected before anything is spent on it
otherwise, with the time after which it fits.

That time holds a place: the service counts the promised work as if it waited, so that a newcomer does not take what a
rejected client waits for. The same text gets the place. Promises hold nothing back while less than half of
what fits is there: if the clients do not come back, the slots still have work.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from service.synthesis.fair_queue import PATIENCE

RETRY_AFTER_MAX_S = 600
_MOST_PROMISES = 256
_SHARE = 0.75
_KEPT_SHARE = 0.85
_SLOW = 3.0
_DUE = 0.9
_LEARNING_RATE = 0.1
_FIRST_CHARACTERS = 500.0  # weight of the engine's own figure among what is measured
_LONG = 200
_IDEOGRAPH = 3  # characters of an alphabet that take as long
_MARGIN = 1.1
_GRACE_S = 5.0
_STEPS = 3
_SIMILAR = 1.2
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


def deadline(work_s: float, usual_s: float) -> float:
    """Return the deadline of a text in seconds: the usual one, or longer for a long text of a slow engine."""
    return max(usual_s, _SLOW * work_s)


@dataclass(frozen=True)
class Claim:
    """A text's claim to the slots: its work that is not done, the time when all is due, its patience and deadline.

    `patience` is the time per work after which a chunk is due; `deadline_s` counts from the acceptance.
    """

    work_s: float
    due: float
    patience: float
    deadline_s: float

    @classmethod
    def of(cls, work_s: float, since: float, usual_s: float) -> Claim:
        """Return the claim of a new text: the last chunk of a long one is due well before its deadline."""
        deadline_s = deadline(work_s, usual_s)
        patience = min(PATIENCE, _DUE * deadline_s / max(work_s, _SOON_S))
        return cls(work_s, since + patience * work_s, patience, deadline_s)

    def before(self, due: float) -> float:
        """Return the part of the work that is due before this time."""
        return min(self.work_s, max(0.0, self.work_s - (self.due - due) / self.patience))

    def at(self, since: float) -> Claim:
        """Return the claim of the same text as if it had come at another time."""
        return replace(self, due=since + self.patience * self.work_s)


class Promise(NamedTuple):
    """A rejected text whose Retry-After ends at the time `at`, and which has its place until `until`."""

    claim: Claim
    at: float
    until: float


@dataclass(frozen=True)
class Queue:
    """What a new text finds: the claims of the others, how many may wait, and how many do."""

    claims: Sequence[Claim]
    capacity: int
    waiting: int


class Admission:
    """Accepts the texts of one priority."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._promises: dict[Hashable, Promise] = {}

    def excess_s(self, text: Hashable, new: Claim, queue: Queue, now: float) -> float:
        """Return the seconds after which a text fits; not positive: now."""
        own, promised = self._promises.get(text), self._before(text, new, now)
        if self._half_empty(new, queue):
            promised = []
        share = _KEPT_SHARE if own and now >= own.at else _SHARE
        return self._excess_s(new, queue, promised, share)

    def reject(self, text: Hashable, new: Claim, queue: Queue, now: float) -> int:
        """Return Retry-After, in seconds, of a text that does not fit, and promise it a place for then."""
        promised, excess_s = self._before(text, new, now), 0.0
        for _ in range(_STEPS):  # the later it comes, the more of the others' work is due before it
            excess_s = self._excess_s(new.at(now + excess_s), queue, promised)
        wait_s = min(max(1, math.ceil(excess_s * _MARGIN)), RETRY_AFTER_MAX_S)
        if wait_s < RETRY_AFTER_MAX_S and (text in self._promises or len(self._promises) < _MOST_PROMISES):
            self._promises[text] = Promise(new, now + wait_s, now + wait_s * _MARGIN + _GRACE_S)
        return wait_s

    def accept(self, text: Hashable) -> None:
        """Drop the promise to a text that has come back."""
        self._promises.pop(text, None)

    def _before(self, text: Hashable, new: Claim, now: float) -> list[Claim]:
        """Return the promised claims that come before a text."""
        self._promises = {key: promise for key, promise in self._promises.items() if promise.until > now}
        own = self._promises.get(text)
        others = [promise for key, promise in self._promises.items() if key != text]
        return [
            promise.claim
            for promise in others
            if (own is None or promise.at <= own.at) and promise.claim.work_s <= _SIMILAR * new.work_s
        ]

    def _half_empty(self, new: Claim, queue: Queue) -> bool:
        work_s = sum(claim.work_s for claim in queue.claims)
        return work_s / self._slots < _SHARE * new.deadline_s / 2 and queue.waiting < queue.capacity / 2

    def _excess_s(self, new: Claim, queue: Queue, promised: Sequence[Claim], share: float = _SHARE) -> float:
        promised_s, total_s = (sum(claim.work_s for claim in claims) for claims in (promised, queue.claims))
        before_s = sum(claim.before(new.due) for claim in queue.claims) + promised_s
        own = before_s / self._slots + new.work_s - share * new.deadline_s
        everyone = (total_s + new.work_s) / self._slots - max(claim.deadline_s for claim in (new, *queue.claims))
        surplus = queue.waiting + len(promised) + 1 - queue.capacity
        place = max(_SOON_S, surplus * total_s / max(1, len(queue.claims)) / self._slots) if surplus > 0 else 0.0
        return max(own, everyone, place)
