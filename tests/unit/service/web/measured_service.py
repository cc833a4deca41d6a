"""The whole service over a fake engine, in a process that measures the callbacks of its event loop.

It prints its longest callback (seconds of CPU time of the loop's thread, which other processes cannot lengthen) for
each SIGUSR1, and begins anew.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from service import engines, server
from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine

PATCH = pytest.MonkeyPatch()


class Longest:
    """The longest callback since the last report."""

    def __init__(self) -> None:
        self.seconds = 0.0
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self.seconds = max(self.seconds, time.thread_time() - began)

        PATCH.setattr(asyncio.events.Handle, "_run", timed)

    def report(self) -> None:
        sys.stdout.write(f"{self.seconds}\n")
        sys.stdout.flush()
        self.seconds = 0.0


def main() -> None:
    """Serve until SIGTERM; the page would take seconds to import."""
    longest = Longest()

    async def start(service: Service) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, longest.report)
        await service.lifecycle.load()

    engine = FakeEngine()
    engine.prompts = True
    PATCH.setattr(engines, "create", lambda _settings: engine)
    PATCH.setattr(Service, "start", start)
    os._exit(asyncio.run(server.run(Settings.from_env(os.environ))))


if __name__ == "__main__":
    main()
