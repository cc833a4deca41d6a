"""The phases of the service, and what may lead from one to another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from enum import StrEnum

import numpy as np

from service.engine import Engine, EngineError, Utterance, is_out_of_memory
from service.errors import UnavailableError
from service.metrics.metrics import Metrics, Refusal

logger = logging.getLogger(__name__)

WARM_UP_TEXT = "Ready to speak."
_AUDIBLE = 300  # of 32767: a quiet but audible peak


class Phase(StrEnum):
    """Where the service stands. Only in READY is new speech accepted."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    UNLOADED = "unloaded"
    FAILED = "failed"


RETRY_AFTER_S = {Phase.STARTING: 5, Phase.LOADING: 5, Phase.WARMING: 2}
"""When to ask again; in any other phase the answer comes from elsewhere, so soon."""


class RefusedError(Exception):
    """A command that does not fit the phase; its message says why."""


class Lifecycle:
    """Loads, warms, drains and unloads one engine. `progress` grows with every step of a load."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine = engine
        self.phase = Phase.STARTING
        self.progress = 0
        self.error: str | None = None
        self.failed = asyncio.Event()
        self.stopping = False
        self._metrics = metrics
        self._enter(Phase.STARTING)

    def check_accepting(self) -> None:
        """Raise UnavailableError unless new speech is accepted."""
        if self.phase is not Phase.READY:
            self._metrics.rejected.labels(Refusal.NOT_READY).inc()
            raise UnavailableError(f"the service is {self.phase}", retry_after=RETRY_AFTER_S.get(self.phase, 1))

    async def load(self, beside: Awaitable[object] | None = None) -> None:
        """Load the model, wait for `beside` (other start-up work), speak once, be ready. Failures end in FAILED."""
        if self.phase not in (Phase.STARTING, Phase.UNLOADED):
            raise RefusedError(f"cannot load while {self.phase}")
        loop, began = asyncio.get_running_loop(), time.monotonic()

        def progress(step: str) -> None:
            loop.call_soon_threadsafe(self._step, step)

        try:
            self._enter(Phase.LOADING)
            await asyncio.to_thread(self.engine.load, progress)
            if beside is not None:
                await beside
            if not self.stopping:
                self._enter(Phase.WARMING)
                await asyncio.to_thread(warm_up, self.engine)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service cannot speak, and must say why
            self._metrics.load_ended(succeeded=False, took_s=time.monotonic() - began)
            self._metrics.out_of_memory.inc(is_out_of_memory(error))
            self.fail(f"{type(error).__name__}: {error}", error)
        else:
            if not self.stopping:
                self._metrics.load_ended(succeeded=True, took_s=time.monotonic() - began)
                self._metrics.device.labels(self.engine.describe().device).set(1)
                self._enter(Phase.READY)

    async def park(self, beside: Awaitable[object]) -> None:
        """Import what a load needs, wait for `beside`, and stay without a model. Failures end in FAILED."""
        try:
            await asyncio.to_thread(self.engine.prepare)
            self._step("prepared")
            await beside
        except Exception as error:  # noqa: BLE001 - as in load
            self.fail(f"{type(error).__name__}: {error}", error)
        else:
            if not self.stopping:
                self._enter(Phase.UNLOADED)

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        """End in FAILED: the process exits soon after, so that whoever started it sees it."""
        self.error = reason
        logger.error("failed while %s: %s", self.phase, reason, exc_info=error)
        self._enter(Phase.FAILED)
        self.failed.set()

    def drain(self) -> None:
        """Accept nothing new; what was accepted goes on."""
        if self.phase not in (Phase.READY, Phase.DRAINING):
            raise RefusedError(f"cannot drain while {self.phase}")
        self._enter(Phase.DRAINING)

    def resume(self) -> None:
        """Take work again after a drain."""
        if self.stopping or self.phase not in (Phase.READY, Phase.DRAINING):
            raise RefusedError(f"cannot resume while {'stopping' if self.stopping else self.phase}")
        self._enter(Phase.READY)

    async def unload(self) -> None:
        """Drop the model. The caller has made sure that nothing is in flight.

        Raise RefusedError when its memory did not come back: it is gone until the process ends.
        """
        if self.phase not in (Phase.READY, Phase.DRAINING, Phase.UNLOADED):
            raise RefusedError(f"cannot unload while {self.phase}")
        self._enter(Phase.UNLOADED)
        self._metrics.memory.unloaded()
        self._metrics.device.clear()
        try:
            await asyncio.to_thread(self.engine.unload)
        except Exception as error:
            logger.exception("the engine could not give everything back")
            raise RefusedError(f"the model is dropped, but not all of its memory came back: {error}") from None

    def stop(self) -> None:
        """The process is to end: accept nothing new, for good. Safe to call twice."""
        self.stopping = True
        if self.phase is not Phase.FAILED:
            self._enter(Phase.DRAINING)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._step(phase)
        self._metrics.ready.set(phase is Phase.READY)
        for known in Phase:
            self._metrics.phase.labels(known).set(phase is known)

    def _step(self, what: str) -> None:
        self.progress += 1
        logger.info("%s (step %d)", what, self.progress)


def warm_up(engine: Engine) -> None:
    """Speak one sentence as a user would have it, and listen; raise EngineError when it is silent. Blocking."""
    voice = engine.describe().voices[0]
    pieces = [piece.samples for piece in engine.synthesize(Utterance(WARM_UP_TEXT, voice.id))]
    if not pieces or np.abs(np.concatenate(pieces).astype(np.int32)).max(initial=0) < _AUDIBLE:
        raise EngineError("the first inference was silent")
