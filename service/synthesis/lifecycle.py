"""The phases of the service and the transitions between them."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import ParamSpec

import numpy as np

from service.engine import Engine, EngineError, EngineFatalError, Utterance, is_out_of_memory, spoken
from service.errors import UnavailableError
from service.metrics.metrics import Metrics, Refusal
from service.threads import abandonable

P = ParamSpec("P")

logger = logging.getLogger(__name__)

WARM_UP_TEXT = "Ready to speak."
_AUDIBLE = 300  # of 32767: a quiet but audible peak


class Phase(StrEnum):
    """Phase of the service. Only READY accepts new requests."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


RETRY_AFTER_S = {Phase.STARTING: 5, Phase.LOADING: 5, Phase.WARMING: 2}
"""Seconds until a retry by phase. In any other phase another release answers, so a retry may follow soon."""


class RefusedError(Exception):
    """The phase does not allow the command; the message states the reason."""


class Lifecycle:
    """Loads, warms up, drains and unloads one engine. `progress` grows with every step of a load."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine = engine
        self.phase = Phase.STARTING
        self.progress = 0
        self.error: str | None = None
        self.failed = asyncio.Event()
        self.stopping = False
        self.broken = False  # the engine or its device; only a new process helps
        self.busy = False  # a thread loads, prepares or unloads the model, even if its command was cancelled
        self.freezes = False  # whether `load` takes all present objects out of garbage collections
        self._leak = ""  # why the last unload did not release all memory
        self._metrics = metrics
        self._changing = asyncio.Lock()  # one load, start or unload at a time; a command waits for the one before it
        self._enter(Phase.STARTING)

    def check_accepting(self) -> None:
        """Raise UnavailableError unless the service accepts new requests."""
        if self.phase is not Phase.READY:
            self._metrics.rejected.labels(Refusal.NOT_READY).inc()
            raise UnavailableError(
                f"the service is not ready (phase {self.phase})", retry_after=RETRY_AFTER_S.get(self.phase, 1)
            )

    async def load(self, beside: Awaitable[object] | None = None) -> None:
        """Load the model, wait for `beside` (other start-up work), test a synthesis, enter READY; FAILED on error.

        A parked start or an unload under way ends first. Cancellation leaves the thread of the load to itself.
        """
        self._check(Phase.STARTING, Phase.UNLOADING, Phase.UNLOADED, to="load")
        async with self._changing:
            self._check(Phase.STARTING, Phase.UNLOADED, to="load")
            self._settle(Phase.LOADING)
            await self._load(beside)

    async def _load(self, beside: Awaitable[object] | None) -> None:
        loop, began = asyncio.get_running_loop(), time.monotonic()

        def progress(step: str) -> None:
            loop.call_soon_threadsafe(self._step, step)

        try:
            await self._in_thread(self.engine.load, progress)
            if beside is not None:
                await beside
            if not self._ending:
                self._enter(Phase.WARMING)
                await self._in_thread(warm_up, self.engine)
        except Exception as error:  # noqa: BLE001 - after any error the service cannot work and must report why
            self._metrics.load_ended(succeeded=False, took_s=time.monotonic() - began)
            self._metrics.out_of_memory.inc(is_out_of_memory(error))
            self.broken = self.broken or isinstance(error, EngineFatalError)
            self.fail(f"{type(error).__name__}: {error}", error)
        else:
            if not self._ending:
                self._metrics.load_ended(succeeded=True, took_s=time.monotonic() - began)
                self._metrics.device.labels(self.engine.describe().device).set(1)
                self._enter(Phase.READY)
                # A full collection takes 0.1 s with the page's objects and stops every thread.
                if self.freezes:
                    gc.freeze()

    def thaw(self) -> None:
        """Let garbage collections see the model's objects again, so that an unload frees them."""
        if self.freezes:
            gc.unfreeze()

    async def park(self, beside: Awaitable[object]) -> None:
        """Import the modules for a load, wait for `beside`, and stay without a model; FAILED on any error."""
        async with self._changing:
            try:
                await self._in_thread(self.engine.prepare)
                self._step("prepared")
                await beside
            except Exception as error:  # noqa: BLE001 - as in load
                self.fail(f"{type(error).__name__}: {error}", error)
            else:
                self._settle(Phase.UNLOADED)

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        """Enter FAILED; the process exits soon after, so that its supervisor notices."""
        self.error = reason
        logger.error("failed while %s: %s", self.phase, reason, exc_info=error)
        self._enter(Phase.FAILED)
        self.failed.set()

    def report_broken(self, reason: str) -> None:
        """Enter FAILED because the engine hangs or its device is broken."""
        self.broken = True
        self.fail(reason)

    def drain(self) -> None:
        """Accept no new requests; finish the accepted ones."""
        self._check(Phase.READY, Phase.DRAINING, to="drain")
        self._enter(Phase.DRAINING)

    def resume(self) -> None:
        """Accept requests again after a drain."""
        if self.stopping or self.phase not in (Phase.READY, Phase.DRAINING):
            raise RefusedError(f"cannot resume while {'stopping' if self.stopping else self.phase}")
        self._enter(Phase.READY)

    async def unload(self) -> None:
        """Drop the model; the caller ensures that nothing is in flight.

        Raise RefusedError if its memory was not freed: it stays allocated until the process ends.
        """
        self._check(Phase.READY, Phase.DRAINING, Phase.UNLOADING, Phase.UNLOADED, to="unload")
        self._settle(Phase.UNLOADING)
        async with self._changing:
            self._check(Phase.DRAINING, Phase.UNLOADING, Phase.UNLOADED, to="unload")
            if self.phase is not Phase.UNLOADED:  # by an unload that this one waited for
                await self._unload()
        if self._leak:
            raise RefusedError(f"the model is unloaded, but not all of its memory was released: {self._leak}")

    async def _unload(self) -> None:
        self._metrics.memory.unloaded()
        self._metrics.device.clear()
        self._leak = ""
        self.thaw()
        try:
            await self._in_thread(self.engine.unload)
        except Exception as error:
            logger.exception("the engine failed to release its memory")
            self._leak = str(error)
        self._settle(Phase.UNLOADED)

    def stop(self) -> None:
        """Accept no new requests until the process exits. Idempotent."""
        self.stopping = True
        if self.phase is not Phase.FAILED:
            self._enter(Phase.DRAINING)

    async def _in_thread(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        def run() -> None:
            try:
                work(*args, **kwargs)
            finally:
                self.busy = False

        self.busy = True
        await abandonable(run)

    def _check(self, *phases: Phase, to: str) -> None:
        if self.phase not in phases:
            raise RefusedError(f"cannot {to} while {self.phase}")

    @property
    def _ending(self) -> bool:
        return self.stopping or self.phase is Phase.FAILED

    def _settle(self, phase: Phase) -> None:
        """Enter a phase of a load or unload, unless the service has failed or stops meanwhile."""
        if not self._ending:
            self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._step(phase)
        self._metrics.ready.set(phase is Phase.READY)
        for known in Phase:
            self._metrics.phase.labels(known).set(phase is known)

    def _step(self, step: str) -> None:
        self.progress += 1
        logger.info("%s (step %d)", step, self.progress)


def warm_up(engine: Engine) -> None:
    """Synthesize one sentence like a request and check the audio; raise EngineError if it is silent. Blocking."""
    voice = engine.describe().voices[0]
    pieces = list(spoken(engine, Utterance(WARM_UP_TEXT, voice.id)))
    if not pieces or np.abs(np.concatenate(pieces).astype(np.int32)).max(initial=0) < _AUDIBLE:
        raise EngineError("the first inference was silent")
