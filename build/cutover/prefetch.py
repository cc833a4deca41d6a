"""Ask the standby release for its status and a synthesis before the lock is acquired, to save a rollback time.

Asking changes nothing. An answer counts for a short time, and only if the container has not restarted since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import yaml

from build.errors import OrchestratorError
from build.target.container import Replica, ServiceStatus
from build.target.synthesis import SynthesisResponse
from build.target.types import Target

T = TypeVar("T")

FRESH_S = 10.0


@dataclass(frozen=True)
class PrefetchedAnswer(Generic[T]):
    """The answer of a container, valid until it restarts; `at` in seconds of the target's clock."""

    life: str
    at: float
    value: T


class Prefetch(Generic[T]):
    """Ask each container of the idle colour, in a thread.

    .env names the live colour without an exec. If .env is out of date, the live containers are asked: useless,
    harmless.
    """

    def __init__(self, target: Target, ask: Callable[[Replica], T]) -> None:
        """`target` must not be shared: its drivers are not thread-safe."""
        self._target, self._ask = target, ask
        self._answers: dict[str, PrefetchedAnswer[T]] = {}
        # A daemon thread: a hanging container must not keep the command from exiting.
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def answer(self, replica: Replica) -> T | None:
        """Return the answer; None if it is missing, too old, or the container has restarted."""
        self._thread.join(FRESH_S)
        answer = self._answers.get(replica.name)
        fresh = answer and answer.life == replica.life and self._target.clock.now() - answer.at < FRESH_S
        return answer.value if answer and fresh else None

    def _run(self) -> None:
        try:
            live = self._target.live_from_env
            for replica in self._target.colours[live.other].replicas if live else ():
                life, value = replica.life, self._ask(replica)
                self._answers[replica.name] = PrefetchedAnswer(life, self._target.clock.now(), value)
        except (OrchestratorError, OSError, yaml.YAMLError, LookupError, TypeError):
            return  # the regular check asks again and reports the error


@dataclass(frozen=True)
class PrefetchedSynthesis:
    """A text of the golden set and its synthesis."""

    text: str
    voice: str
    response: SynthesisResponse


class StandbyPrefetch:
    """Ask the standby release for its status and a synthesis in parallel: each starts a process in a container."""

    def __init__(self, target: Target, another: Target) -> None:
        self._target = target
        self._synthesis = Prefetch(target, self._speak)
        self._status = Prefetch(another, lambda replica: replica.status())
        self._containers: dict[str, PrefetchedContainer] = {}

    def of(self, replica: Replica) -> PrefetchedContainer:
        """Return the container with its prefetched answers."""
        return self._containers.setdefault(replica.name, PrefetchedContainer(self, replica))

    def synthesis(self, replica: Replica) -> PrefetchedSynthesis | None:
        """Return the prefetched synthesis, or None."""
        synthesis = self._synthesis.answer(replica)
        return None if synthesis is None or synthesis.response.error else synthesis

    def status(self, replica: Replica) -> ServiceStatus | None:
        """Return the prefetched status, or None."""
        return self._status.answer(replica)

    def _speak(self, replica: Replica) -> PrefetchedSynthesis:
        # Not validated: that imports numpy, which costs time. A synthesis of a wrong text is not used later.
        golden = yaml.safe_load(self._target.settings.golden.read_text())
        text, voice = golden["texts"][0]["say"], golden["voice"]
        return PrefetchedSynthesis(text, voice, replica.speak(text, voice, FRESH_S))


class PrefetchedContainer:
    """A container with prefetched answers (build.gate.gate.Synthesizer); it synthesizes whatever was not prefetched."""

    def __init__(self, ahead: StandbyPrefetch, replica: Replica) -> None:
        self._ahead, self._replica = ahead, replica
        self._used = False

    @cached_property
    def _status(self) -> ServiceStatus:
        return self._ahead.status(self._replica) or self._replica.status()

    def status(self) -> ServiceStatus:
        """Return the status, asked once: a second request would cost 0.1 s for the same answer."""
        return self._status

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        """Return the prefetched synthesis once; synthesize the text on later calls."""
        synthesis = None if self._used else self._ahead.synthesis(self._replica)
        if synthesis is None or (synthesis.text, synthesis.voice) != (text, voice):
            return self._replica.speak(text, voice, timeout_s)
        self._used = True
        return synthesis.response
