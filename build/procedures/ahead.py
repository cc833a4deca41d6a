"""A way back is in a hurry: whoever stands by is asked to speak before there is a lease, since that changes nothing.

What was said counts while the container that said it is still in the same life, and not for long.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import yaml

from build.decisions.colours import Colour
from build.decisions.spoken import Spoken
from build.drivers.colour import Replica, Status
from build.errors import LineError
from build.procedures.target import Target

FRESH_S = 10.0


@dataclass(frozen=True)
class Heard:
    """What a container said in one of its lives; `at` by the target's clock (seconds)."""

    life: str
    at: float
    text: str
    voice: str
    spoken: Spoken


class Ahead:
    """Listens, in a thread of its own, to the containers of the colour that is out of rotation."""

    def __init__(self, target: Target) -> None:
        """`target` is for this alone: drivers are not made for two threads."""
        self._target = target
        self._heard: dict[str, Heard] = {}
        self._rehearsed: dict[str, Rehearsed] = {}
        # A daemon: what hangs in it keeps no command from its end.
        self._thread = threading.Thread(target=self._listen, name="ahead", daemon=True)
        self._thread.start()

    def of(self, replica: Replica) -> Rehearsed:
        """The container, as one that may have spoken already."""
        return self._rehearsed.setdefault(replica.name, Rehearsed(self, replica))

    def heard(self, replica: Replica) -> Heard | None:
        """What it said; None when that was nothing, or long ago, or in another life."""
        self._thread.join(FRESH_S)
        heard = self._heard.get(replica.name)
        fresh = heard and heard.life == replica.life and self._target.clock.now() - heard.at < FRESH_S
        return heard if fresh else None

    def _listen(self) -> None:
        try:
            self._ask()
        except (LineError, OSError, yaml.YAMLError, LookupError, TypeError):
            return  # whoever needs an answer asks himself, and is told what is wrong

    def _ask(self) -> None:
        servers = self._target.proxy.servers()
        idle = [each for each in Colour if all(servers[name].admin == "maint" for name in each.servers)]
        if len(idle) != 1:
            return
        # Read as it is: to check it takes numpy, whose import would be waited for; another text is not taken later.
        golden = yaml.safe_load(self._target.settings.golden.read_text())
        text, voice = golden["texts"][0]["say"], golden["voice"]
        for each in self._target.colours[idle[0]].replicas:
            life, spoken = each.life, each.speak(text, voice, FRESH_S)
            if not spoken.error:
                self._heard[each.name] = Heard(life, self._target.clock.now(), text, voice, spoken)


class Rehearsed:
    """A container that may have spoken already (build.procedures.gate.Speaker); asked for anything else, it speaks."""

    def __init__(self, ahead: Ahead, replica: Replica) -> None:
        self._ahead, self._replica = ahead, replica
        self._said = False

    @cached_property
    def _status(self) -> Status:
        return self._replica.status()

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
