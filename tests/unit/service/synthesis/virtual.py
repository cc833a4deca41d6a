"""The real scheduler in virtual time: inferences take as long as they say, and no processor."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.engine import Audio, Chunk
from service.errors import QueueFullError
from service.metrics.metrics import Metrics
from service.synthesis import in_flight
from service.synthesis.admission import Size
from service.synthesis.in_flight import Class, TrackedRequest
from service.synthesis.job import Job, Task
from service.synthesis.scheduler import Scheduler

SENTENCE = 80
"""Characters of a chunk."""


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it has nothing to do."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


class VirtualPool:
    """Runs the work of a thread once the time of its inference has passed."""

    def __init__(self, seconds: Callable[[Job, int], float]) -> None:
        self._seconds = seconds
        self.busy_s = 0.0

    def submit(self, work: Callable[[Job, int], None], job: Job, number: int) -> Future[None]:
        future: Future[None] = Future()

        def end() -> None:
            try:
                work(job, number)
                future.set_result(None)
            except Exception as error:  # noqa: BLE001 - as a thread pool
                future.set_exception(error)

        seconds = self._seconds(job, number)
        self.busy_s += seconds
        asyncio.get_running_loop().call_later(seconds, end)
        return future


@dataclass
class Simulated:
    """A scheduler with an engine of so many characters per second."""

    scheduler: Scheduler
    pool: VirtualPool
    pace: float
    parallel: bool = True
    ended: Counter[str] = field(default_factory=Counter)
    spoken: list[str] = field(default_factory=list)
    texts: int = 0

    def task(self, characters: int, name: str = "") -> Task:
        """Return a text of sentences."""
        self.texts += 1
        sizes = [min(SENTENCE, characters - start) for start in range(0, characters, SENTENCE)]

        def speak(chunk: Chunk, _alone: bool) -> Audio:
            self.spoken.append(f"{name}{chunk.payload}")
            return np.ones(int(chunk.work), np.int16)

        return Task(
            lambda: [Chunk(number, size) for number, size in enumerate(sizes, start=1)],
            speak,
            lambda _samples, _last: b"",
            self.parallel,
            Size("joe", characters),
            self.texts,
        )

    async def say(self, task: Task) -> float:
        """Return the seconds until the last part."""
        began = asyncio.get_running_loop().time()
        async with self.scheduler.job(task) as parts:
            async for _ in parts:
                pass
        return asyncio.get_running_loop().time() - began

    async def insist(self, task: Task) -> int:
        """Synthesize a text, as a client that comes back after Retry-After; return how often it was rejected."""
        rejected = 0
        while True:
            try:
                await self.say(task)
            except QueueFullError as error:
                rejected += 1
                await asyncio.sleep(error.retry_after or 1)
            else:
                return rejected


def simulated(slots: int, *, pace: float = 100.0, deadline_s: float = 100.0, parallel: bool = True) -> Simulated:
    """Return a scheduler in the running virtual loop."""
    pool = VirtualPool(lambda job, number: _characters(job, number) / pace)
    scheduler = Scheduler(slots, 128, deadline_s, Metrics(), lambda _reason: None, pace)
    scheduler._pool = pool  # type: ignore[assignment]
    return Simulated(scheduler, pool, pace, parallel)


def _characters(job: Job, number: int) -> float:
    return min(float(SENTENCE), job.task.size.characters - number * SENTENCE)


async def as_batch(work: Coroutine[Any, Any, Any]) -> Any:
    """Run work as a batch item does."""
    task = asyncio.current_task()
    assert task
    in_flight._current.set(TrackedRequest(Class.BATCH, task, page=False))
    return await work
