"""A way back is in a hurry: whoever stands by is asked to speak before there is a lease, since that changes nothing.

What it answered counts while the container that answered is still in the same life, and not for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import yaml

from build.errors import LineError
from build.target.container import Replica, Status
from build.target.synthesis import Spoken
from build.target.target import Target

T = TypeVar("T")

FRESH_S = 10.0


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a container answered in one of its lives; `at` by the target's clock (seconds)."""

    life: str
    at: float
    said: T


class Question(Generic[T]):
    """Asked of each container of the colour that is out of rotation, in a thread of its own.

    Which colour that is, .env tells without an exec. Where it is out of date, those who serve are asked, for nothing.
    """

    def __init__(self, target: Target, ask: Callable[[Replica], T]) -> None:
        """`target` is for this alone: drivers are not made for two threads."""
        self._target, self._ask = target, ask
        self._answers: dict[str, Answer[T]] = {}
        # A daemon: what hangs in it keeps no command from its end.
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def answer(self, replica: Replica) -> T | None:
        """What it answered; None when that was nothing, or long ago, or in another life."""
        self._thread.join(FRESH_S)
        answer = self._answers.get(replica.name)
        fresh = answer and answer.life == replica.life and self._target.clock.now() - answer.at < FRESH_S
        return answer.said if answer and fresh else None

    def _run(self) -> None:
        try:
            live = self._target.noted
            for each in self._target.colours[live.other].replicas if live else ():
                life, said = each.life, self._ask(each)
                self._answers[each.name] = Answer(life, self._target.clock.now(), said)
        except (LineError, OSError, yaml.YAMLError, LookupError, TypeError):
            return  # whoever needs an answer asks himself, and is told what is wrong


@dataclass(frozen=True)
class Heard:
    """A text of the golden set, and how it was spoken."""

    text: str
    voice: str
    spoken: Spoken


class Ahead:
    """Asks what stands by for its state and for a text, at the same time: each is a process started in a container."""

    def __init__(self, target: Target, another: Target) -> None:
        self._target = target
        self._heard = Question(target, self._speak)
        self._status = Question(another, lambda replica: replica.status())
        self._rehearsed: dict[str, Rehearsed] = {}

    def of(self, replica: Replica) -> Rehearsed:
        """The container, as one that may have spoken already."""
        return self._rehearsed.setdefault(replica.name, Rehearsed(self, replica))

    def heard(self, replica: Replica) -> Heard | None:
        """What it said; None when that was nothing that still counts."""
        heard = self._heard.answer(replica)
        return None if heard is None or heard.spoken.error else heard

    def status(self, replica: Replica) -> Status | None:
        """What it said of itself; None when that was nothing that still counts."""
        return self._status.answer(replica)

    def _speak(self, replica: Replica) -> Heard:
        # Read as it is: to check it takes numpy, whose import would be waited for; another text is not taken later.
        golden = yaml.safe_load(self._target.settings.golden.read_text())
        text, voice = golden["texts"][0]["say"], golden["voice"]
        return Heard(text, voice, replica.speak(text, voice, FRESH_S))


class Rehearsed:
    """A container that may have spoken already (build.gate.gate.Speaker); asked for anything else, it speaks."""

    def __init__(self, ahead: Ahead, replica: Replica) -> None:
        self._ahead, self._replica = ahead, replica
        self._said = False

    @cached_property
    def _status(self) -> Status:
        return self._ahead.status(self._replica) or self._replica.status()

    def status(self) -> Status:
        """Asked once: its second word would cost a tenth of a second, and be the same."""
        return self._status

    def speak(self, text: str, voice: str, timeout_s: float) -> Spoken:
        """What it has said, once; a text that is asked for again is spoken again."""
        heard = None if self._said else self._ahead.heard(self._replica)
        if heard is None or (heard.text, heard.voice) != (text, voice):
            return self._replica.speak(text, voice, timeout_s)
        self._said = True
        return heard.spoken
