"""The watchdog: a process that can no longer serve ends, so that Docker starts a new one.

The scheduler reports a hung inference and a broken engine. This module sees what the scheduler cannot: a GPU that is
gone while no request uses it, and an event loop that a hung library blocks.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Histogram

from service.app import Service
from service.engine import Utterance
from service.errors import ServiceError, UnavailableError
from service.synthesis.lifecycle import WARM_UP_TEXT

logger = logging.getLogger(__name__)

EXIT_BROKEN = 5
GPU_S = 20.0
MOST_FAILED_READS = 3  # in a row: a busy driver answers late
TICK_S = 0.1
END_S = 10.0
"""Longest time (seconds) that a broken process takes to end by itself."""


@dataclass(frozen=True)
class GpuWatch:
    """How often in a row the GPUs could not be read, and since when (seconds of the monotonic clock)."""

    failed: int = 0
    since: float = 0.0

    def after(self, *, whole: bool, now: float) -> GpuWatch:
        """Return the watch after one more read."""
        if whole:
            return GpuWatch()
        return GpuWatch(self.failed + 1, self.since if self.failed else now)

    def lost(self, last_success: float | None) -> bool:
        """Return whether the GPU is lost: unreadable, and no inference has succeeded since.

        A container can lose NVML alone, for example by `systemctl daemon-reload`, and still synthesize.
        """
        return self.failed >= MOST_FAILED_READS and (last_success is None or last_success < self.since)


async def watch_gpu(service: Service, every_s: float = GPU_S) -> None:
    """Report a lost GPU of an engine that uses one; run until cancelled."""
    seen = GpuWatch()
    while True:
        await asyncio.sleep(every_s)
        if not service.engine.describe().device.lower().startswith("cuda"):
            continue
        readings = await service.metrics.gpus.refresh()
        seen = seen.after(whole=readings is None or readings.whole, now=time.monotonic())
        if seen.lost(service.scheduler.last_success) and not await _speaks(service):
            service.lifecycle.report_broken(
                "the GPU is lost: NVML cannot read it, and no inference has succeeded since"
            )
            return


async def _speaks(service: Service) -> bool:
    """Return whether an inference still succeeds; without traffic no other one would tell."""
    try:
        await service.speech.synthesize(Utterance(WARM_UP_TEXT, service.speech.voices[0].id))
    except UnavailableError:  # draining or unloading: another release serves
        return True
    except ServiceError:
        return False
    return True


async def watch_loop(limit_s: float) -> None:
    """End the process if this loop stands still for `limit_s`; run until cancelled.

    faulthandler's thread needs no interpreter lock, which a hung library may hold. It prints where each thread stands
    and exits with code 1.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(limit_s, exit=True)
            await asyncio.sleep(limit_s / 10)
    finally:
        faulthandler.cancel_dump_traceback_later()


async def measure_loop(lag: Histogram, every_s: float = TICK_S) -> None:
    """Record by how much this loop delays a timer that ends every `every_s`; run until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        lag.observe(max(0.0, loop.time() - due))


def end_soon(code: int, within_s: float = END_S, end: Callable[[int], None] = os._exit) -> None:
    """End this process after `within_s` even if a thread that hangs in the engine blocks the regular way."""

    def expire() -> None:
        time.sleep(within_s)
        logger.error("the process did not end by itself within %g s; exit code %d", within_s, code)
        end(code)

    threading.Thread(target=expire, name="end", daemon=True).start()
