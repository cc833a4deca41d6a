"""A way back is in a hurry: whoever stands by is asked to speak before there is a lease, since that changes nothing.

What was said counts while the container that said it is still in the same life, and not for long.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import yaml

from build.decisions.colours import Colour
from build.decisions.spoken import Spoken
from build.drivers.colour import Replica, Status
from build.errors import LineError
from build.procedures.target import Target

FRESH_S = 10.0


@dataclass(frozen=True)
class Heard:
    """What one container said of itself and aloud (`said`: text and voice); `at` by the target's clock (seconds)."""

    life: str
    at: float
    status: Status
    said: tuple[str, str]
    spoken: Spoken


class Rehearsed:
    """A container that has spoken already (build.procedures.gate.Speaker); asked for anything else, it speaks."""

    def __init__(self, replica: Replica, heard: Heard) -> None:
        self._replica, self._heard = replica, heard
        self._said = False

    def status(self) -> Status:
        return self._heard.status

    def speak(self, text: str, voice: str, timeout_s: float) -> Spoken:
        """What it has said, once; a text that is asked for again is spoken again."""
        if self._said or (text, voice) != self._heard.said:
            return self._replica.speak(text, voice, timeout_s)
        self._said = True
        return self._heard.spoken


class Ahead:
    """Asks, in a thread of its own, the containers of the colour that is out of rotation."""

    def __init__(self, target: Target) -> None:
        """`target` is for this alone: drivers are not made for two threads."""
        self._target = target
        self._heard: dict[str, Heard] = {}
        # A daemon: what hangs in it keeps no command from its end.
        self._thread = threading.Thread(target=self._listen, name="ahead", daemon=True)
        self._thread.start()

    def of(self, replica: Replica) -> Replica | Rehearsed:
        """The container as it was heard; itself where it was not, or is another one by now, or it was long ago."""
        self._thread.join(FRESH_S)
        heard = self._heard.get(replica.name)
        if not heard or heard.life != replica.life or self._target.clock.now() - heard.at > FRESH_S:
            return replica
        return Rehearsed(replica, heard)

    def _listen(self) -> None:
        try:
            self._hear()
        except (LineError, OSError, yaml.YAMLError, LookupError, TypeError):
            return  # whoever needs an answer asks himself, and is told what is wrong

    def _hear(self) -> None:
        servers = self._target.proxy.servers()
        idle = [each for each in Colour if all(servers[name].admin == "maint" for name in each.servers)]
        if len(idle) != 1:
            return
        # Read as it is: to check it takes what a way back has no time for, and another text would not be taken.
        golden = yaml.safe_load(self._target.settings.golden.read_text())
        text, voice = golden["texts"][0]["say"], golden["voice"]
        for each in self._target.colours[idle[0]].replicas:
            status, life = each.status(), each.life
            if status.phase == "ready":
                spoken = each.speak(text, voice, FRESH_S)
                self._heard[each.name] = Heard(life, self._target.clock.now(), status, (text, voice), spoken)
