"""Who speaks when: a bounded queue in front of as many slots as the engine has inferences at a time.

A slot is taken for one piece (about a sentence), in order of asking; people before batch items, which make way and are
not left out (service.synthesis.fair_queue). So a long text gives way between its sentences, and one whose client has
left stops at the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from service.engine import Audio, BrokenError, NoMemoryError, Piece, is_out_of_memory
from service.errors import BusyError, LateError, ServiceError, UnavailableError
from service.metrics.metrics import Metrics, Refusal
from service.synthesis import in_flight
from service.synthesis.fair_queue import Priority, Turns

logger = logging.getLogger(__name__)

Start = Callable[[], Iterator[Piece]]
"""Begins a synthesis: called in a worker thread, as is each step of the iterator."""

OnPlace = Callable[[int], None]
"""Told how many are ahead of a synthesis that has not started, when it is accepted and each time that changes."""

_BATCH_SHARE = 4
"""A batch has so much fewer places in the queue than people have, and none of theirs."""

_RETRY_AFTER_MAX_S = 60
_LEARNING_RATE = 0.1
_HUNG = 2
"""An inference that takes so many times as long as a whole request may will not come back."""


@dataclass(eq=False)
class _Job:
    """One accepted synthesis. `budget` is the time left in seconds; a client's slow reading does not use it."""

    start: Start
    budget: float
    accepted: float
    priority: Priority
    on_place: OnPlace | None = None
    pieces: Iterator[Piece] | None = None
    worked: float = 0.0

    def step(self) -> Piece | None:
        """The next piece, or None at the end. Runs in a worker thread."""
        began = time.monotonic()
        self.pieces = self.pieces or self.start()
        piece = next(self.pieces, None)
        self.worked += time.monotonic() - began
        return piece


class Scheduler:
    """Runs syntheses on `slots` threads, with at most `queue_limit` that have not started yet.

    Batch items have places beside those, a quarter as many: however much a batch asks for, nobody else is refused.
    """

    def __init__(
        self, slots: int, queue_limit: int, deadline_s: float, metrics: Metrics, on_broken: Callable[[str], None]
    ) -> None:
        self.slots = slots
        self.queue_limit = queue_limit
        self.deadline_s = deadline_s
        self.jobs = 0
        self._line: list[_Job] = []
        self.completed = 0
        self.last_success: float | None = None
        self._metrics = metrics
        self._on_broken = on_broken
        self._turns = Turns(slots)
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="engine")
        self._running: dict[Future[Piece | None], asyncio.TimerHandle] = {}
        self._job_seconds = 0.5  # what a job costs on average; a first guess, learnt from then on
        for each in Priority:
            metrics.queue_depth.labels(each).set_function(functools.partial(self.waiting_of, each))
            metrics.queue_capacity.labels(each).set(self.places_of(each))
            metrics.queue_wait_seconds.labels(each)
        metrics.jobs.set_function(lambda: self.jobs)

    @property
    def waiting(self) -> int:
        """How many have not started yet."""
        return len(self._line)

    def waiting_of(self, priority: Priority) -> int:
        """How many of those are people's, or a batch's."""
        return sum(job.priority is priority for job in self._line)

    def places_of(self, priority: Priority) -> int:
        """How many of them may wait."""
        return self.queue_limit if priority is Priority.PEOPLE else max(1, self.queue_limit // _BATCH_SHARE)

    @property
    def stuck(self) -> bool:
        """Is a thread still in the engine?"""
        return bool(self._running)

    def retry_after(self, priority: Priority) -> int:
        """In how many seconds the queue may have moved on: what waits ahead, over what is done at a time."""
        ahead = self.waiting if priority is Priority.BATCH else self.waiting_of(priority)
        estimate = math.ceil((ahead + 1) * self._job_seconds / self.slots)
        return max(1, min(estimate, _RETRY_AFTER_MAX_S))

    @contextlib.asynccontextmanager
    async def job(self, start: Start, on_place: OnPlace | None = None) -> AsyncIterator[AsyncIterator[Audio]]:
        """Accept a synthesis and give its pieces; raise BusyError when the queue is full, LateError past the deadline.

        Whether it is a batch's is what the traffic knows of this task. A batch item that has not begun by its deadline
        is only told to come again (BusyError): nothing is wrong with it.

        Leaving the block, however that comes about, gives everything back.
        """
        priority = Priority.BATCH if in_flight.is_batch() else Priority.PEOPLE
        self._check_room(priority)
        job = _Job(start, self.deadline_s, time.monotonic(), priority, on_place)
        self.jobs += 1
        self._enter_line(job)
        try:
            yield self._pieces(job)
            self.completed += 1
            self._job_seconds += _LEARNING_RATE * (job.worked - self._job_seconds)
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.abandoned.inc()
            raise
        finally:
            self.jobs -= 1
            self._leave_line(job)

    def _check_room(self, priority: Priority) -> None:
        waiting = self.waiting_of(priority)
        if waiting < self.places_of(priority):
            return
        people = priority is Priority.PEOPLE
        self._metrics.rejected.labels(Refusal.QUEUE_FULL if people else Refusal.BATCH).inc()
        what = "requests" if people else "batch items"
        raise BusyError(f"the queue is full: {waiting} {what} are waiting", retry_after=self.retry_after(priority))

    def _enter_line(self, job: _Job) -> None:
        """The last of its kind; those behind it move back."""
        place = self.waiting_of(Priority.PEOPLE) if job.priority is Priority.PEOPLE else len(self._line)
        self._line.insert(place, job)
        self._tell_places(place)

    def _leave_line(self, job: _Job) -> None:
        """It has started, or ends without; those behind it move up."""
        if job not in self._line:
            return
        place = self._line.index(job)
        del self._line[place]
        self._tell_places(place)

    def _tell_places(self, first: int) -> None:
        for ahead, job in enumerate(self._line[first:], start=first):
            if job.on_place:
                job.on_place(ahead)

    async def _pieces(self, job: _Job) -> AsyncIterator[Audio]:
        while True:
            began = time.monotonic()
            piece = await self._next(job)
            job.budget -= time.monotonic() - began
            if piece is not None:
                yield piece.samples
            if piece is None or piece.last:
                return

    async def _next(self, job: _Job) -> Piece | None:
        """One piece, within what is left of the job's time."""
        try:
            async with asyncio.timeout(max(job.budget, 0)):
                await self._turns.acquire(job.priority, begun=job not in self._line)
                return await asyncio.wrap_future(self._submit(job))
        except TimeoutError:
            raise self._too_late(job) from None
        except NoMemoryError as error:
            logger.warning("%s", error)
            raise UnavailableError(
                str(error), code="out_of_memory", retry_after=self.retry_after(job.priority)
            ) from None
        except Exception as error:  # whatever an engine raises: the request fails, the service goes on
            logger.exception("the engine failed")
            raise ServiceError(f"the engine failed: {type(error).__name__}", code="engine_failed") from error

    def _too_late(self, job: _Job) -> ServiceError:
        if job.priority is Priority.BATCH and job in self._line:
            self._metrics.rejected.labels(Refusal.BATCH).inc()
            message = f"others came first for {self.deadline_s:g} s; nothing is wrong with the request: ask again"
            return BusyError(message, retry_after=self.retry_after(job.priority))
        self._metrics.rejected.labels(Refusal.DEADLINE).inc()
        return LateError(f"the speech was not finished within {self.deadline_s:g} s")

    def _submit(self, job: _Job) -> Future[Piece | None]:
        """Start the job's next step. The slot is taken; it comes back when the thread is really done.

        An inference cannot be interrupted: when its client leaves or its deadline passes, it still has its core.
        """
        if job in self._line:
            self._leave_line(job)
            in_flight.begins()
            self._metrics.queue_wait_seconds.labels(job.priority).observe(time.monotonic() - job.accepted)
        loop = asyncio.get_running_loop()
        try:
            thread = self._pool.submit(self._timed, job)
        except BaseException:
            self._turns.release()
            raise
        self._running[thread] = loop.call_later(_HUNG * self.deadline_s, self._hangs)

        def done(_thread: Future[Piece | None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be gone when the last thread ends
                loop.call_soon_threadsafe(self._give_back, thread)

        thread.add_done_callback(done)
        return thread

    def _timed(self, job: _Job) -> Piece | None:
        try:
            with self._metrics.inference_seconds.time():
                piece = job.step()
        except Exception as error:
            if is_out_of_memory(error):
                self._metrics.out_of_memory.inc()
            raise
        if piece is not None and piece.samples.any():  # silence is no evidence that it works
            self.last_success = time.monotonic()
            self._metrics.last_success.set_to_current_time()
        return piece

    def _give_back(self, thread: Future[Piece | None]) -> None:
        self._running.pop(thread).cancel()
        self._turns.release()
        # Also when its client has left, and nobody else sees it.
        if not thread.cancelled() and isinstance(error := thread.exception(), BrokenError):
            self._on_broken(f"the engine is broken: {error}")

    def _hangs(self) -> None:
        """A slot whose thread does not come back is lost for good, and only a new process has it again."""
        self._on_broken(f"one inference has not returned for {_HUNG * self.deadline_s:g} s")

    def close(self) -> None:
        """Take no more work; threads that are still in the engine are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
