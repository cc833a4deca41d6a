"""The scheduler: a bounded queue in front of as many slots as the engine has parallel inferences.

A request holds a slot for one piece (about a sentence). Slots go in order of the requests; people have priority over
batch items, which do not starve (service.synthesis.fair_queue). So a long text yields between its sentences, and an
abandoned one stops at the next.
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

from service.engine import Audio, EngineFatalError, NoMemoryError, Piece, is_out_of_memory
from service.errors import DeadlineExceededError, QueueFullError, ServiceError, UnavailableError
from service.metrics.metrics import Metrics, Refusal
from service.synthesis import in_flight
from service.synthesis.fair_queue import Priority, PrioritySlots

logger = logging.getLogger(__name__)

Start = Callable[[], Iterator[Piece]]
"""Starts a synthesis; a worker thread calls it, and each step of the iterator."""

OnPosition = Callable[[int], None]
"""Receives the number of syntheses ahead of a waiting one, on acceptance and on each change."""

_BATCH_SHARE = 4
"""Batch items have the queue limit divided by this as places, in addition to those of people."""

_RETRY_AFTER_MAX_S = 60
_LEARNING_RATE = 0.1
HUNG = 2
"""Multiple of the request deadline after which an inference counts as hung."""


@dataclass(eq=False)
class _Job:
    """One accepted synthesis. `budget` is the remaining time in seconds; waiting for a slow client does not use it."""

    start: Start
    budget: float
    accepted: float
    priority: Priority
    on_position: OnPosition | None = None
    pieces: Iterator[Piece] | None = None
    worked: float = 0.0

    def step(self) -> Piece | None:
        """Return the next piece, or None at the end. Runs in a worker thread."""
        began = time.monotonic()
        self.pieces = self.pieces or self.start()
        piece = next(self.pieces, None)
        self.worked += time.monotonic() - began
        return piece


class Scheduler:
    """Runs syntheses on `slots` threads, with a queue of at most `queue_limit` that have not started.

    Batch items have additional places, a quarter as many: no batch can fill the queue for other requests.
    """

    def __init__(
        self, slots: int, queue_limit: int, deadline_s: float, metrics: Metrics, on_broken: Callable[[str], None]
    ) -> None:
        self.slots = slots
        self.queue_limit = queue_limit
        self.deadline_s = deadline_s
        self.jobs = 0
        self._queue: list[_Job] = []
        self.completed = 0
        self.last_success: float | None = None
        self._metrics = metrics
        self._on_broken = on_broken
        self._turns = PrioritySlots(slots)
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="engine")
        self._running: dict[Future[Piece | None], asyncio.TimerHandle] = {}
        self._job_seconds = 0.5  # average seconds per job; an initial guess that is updated
        for priority in Priority:
            metrics.queue_depth.labels(priority).set_function(functools.partial(self.waiting_of, priority))
            metrics.queue_capacity.labels(priority).set(self.capacity_of(priority))
            metrics.queue_wait_seconds.labels(priority)
        metrics.jobs.set_function(lambda: self.jobs)

    @property
    def waiting(self) -> int:
        """Number of syntheses that have not started."""
        return len(self._queue)

    def waiting_of(self, priority: Priority) -> int:
        """Return the number of waiting syntheses with this priority."""
        return sum(job.priority is priority for job in self._queue)

    def capacity_of(self, priority: Priority) -> int:
        """Return the queue limit of this priority."""
        return self.queue_limit if priority is Priority.PEOPLE else max(1, self.queue_limit // _BATCH_SHARE)

    @property
    def stuck(self) -> bool:
        """Whether a thread is still in the engine."""
        return bool(self._running)

    def retry_after(self, priority: Priority) -> int:
        """Return the estimated seconds until the queue has moved: the work ahead, divided by the slots."""
        ahead = self.waiting if priority is Priority.BATCH else self.waiting_of(priority)
        estimate = math.ceil((ahead + 1) * self._job_seconds / self.slots)
        return max(1, min(estimate, _RETRY_AFTER_MAX_S))

    @contextlib.asynccontextmanager
    async def job(self, start: Start, on_position: OnPosition | None = None) -> AsyncIterator[AsyncIterator[Audio]]:
        """Accept a synthesis and yield its pieces.

        Raise QueueFullError if the queue is full, DeadlineExceededError after the deadline.

        The traffic knows whether this task is a batch item. A batch item that has not started by its deadline gets
        QueueFullError, because a retry can succeed. Leaving the block releases everything in any case.
        """
        priority = Priority.BATCH if in_flight.is_batch() else Priority.PEOPLE
        self._check_capacity(priority)
        job = _Job(start, self.deadline_s, time.monotonic(), priority, on_position)
        self.jobs += 1
        self._enqueue(job)
        try:
            yield self._pieces(job)
            self.completed += 1
            self._job_seconds += _LEARNING_RATE * (job.worked - self._job_seconds)
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.abandoned.inc()
            raise
        finally:
            self.jobs -= 1
            self._dequeue(job)

    def _check_capacity(self, priority: Priority) -> None:
        waiting = self.waiting_of(priority)
        if waiting < self.capacity_of(priority):
            return
        people = priority is Priority.PEOPLE
        self._metrics.rejected.labels(Refusal.QUEUE_FULL if people else Refusal.BATCH).inc()
        items = "requests" if people else "batch items"
        raise QueueFullError(
            f"the queue is full: {waiting} {items} are waiting", retry_after=self.retry_after(priority)
        )

    def _enqueue(self, job: _Job) -> None:
        """Insert a job behind the last of its priority; those behind it move back."""
        place = self.waiting_of(Priority.PEOPLE) if job.priority is Priority.PEOPLE else len(self._queue)
        self._queue.insert(place, job)
        self._report_positions(place)

    def _dequeue(self, job: _Job) -> None:
        """Remove a job that has started or ended; those behind it move up."""
        if job not in self._queue:
            return
        place = self._queue.index(job)
        del self._queue[place]
        self._report_positions(place)

    def _report_positions(self, first: int) -> None:
        for ahead, job in enumerate(self._queue[first:], start=first):
            if job.on_position:
                job.on_position(ahead)

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
        """Return one piece within the remaining time of the job."""
        try:
            async with asyncio.timeout(max(job.budget, 0)):
                await self._turns.acquire(job.priority, begun=job not in self._queue)
                return await asyncio.wrap_future(self._submit(job))
        except TimeoutError:
            raise self._deadline_error(job) from None
        except NoMemoryError as error:
            logger.warning("%s", error)
            raise UnavailableError(
                str(error), code="out_of_memory", retry_after=self.retry_after(job.priority)
            ) from None
        except Exception as error:  # any engine error: the request fails, the service continues
            logger.exception("the engine failed")
            raise ServiceError(f"the engine failed: {type(error).__name__}", code="engine_failed") from error

    def _deadline_error(self, job: _Job) -> ServiceError:
        if job.priority is Priority.BATCH and job in self._queue:
            self._metrics.rejected.labels(Refusal.BATCH).inc()
            message = (
                f"other requests came first, and the batch item did not start within {self.deadline_s:g} s; retry it"
            )
            return QueueFullError(message, retry_after=self.retry_after(job.priority))
        self._metrics.rejected.labels(Refusal.DEADLINE).inc()
        return DeadlineExceededError(f"the synthesis did not finish within {self.deadline_s:g} s")

    def _submit(self, job: _Job) -> Future[Piece | None]:
        """Start the next step of a job in the acquired slot. The slot is released once the thread is done.

        An inference cannot be interrupted: it keeps its core after a disconnect or the deadline.
        """
        if job in self._queue:
            self._dequeue(job)
            in_flight.mark_started()
            self._metrics.queue_wait_seconds.labels(job.priority).observe(time.monotonic() - job.accepted)
        loop = asyncio.get_running_loop()
        try:
            thread = self._pool.submit(self._timed, job)
        except BaseException:
            self._turns.release()
            raise
        self._running[thread] = loop.call_later(HUNG * self.deadline_s, self._report_hang)

        def done(_thread: Future[Piece | None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed when the last thread ends
                loop.call_soon_threadsafe(self._release_slot, thread)

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
        if piece is not None and piece.samples.any():  # silence does not prove that the engine works
            self.last_success = time.monotonic()
            self._metrics.last_success.set_to_current_time()
        return piece

    def _release_slot(self, thread: Future[Piece | None]) -> None:
        self._running.pop(thread).cancel()
        self._turns.release()
        # Report it here too: after a disconnect no other code sees the error.
        if not thread.cancelled() and isinstance(error := thread.exception(), EngineFatalError):
            self._on_broken(f"the engine is broken: {error}")

    def _report_hang(self) -> None:
        """Report a hung inference: its slot is lost until a new process starts."""
        self._on_broken(f"an inference has not returned for {HUNG * self.deadline_s:g} s")

    def close(self) -> None:
        """Accept no more work; do not wait for threads that are still in the engine."""
        self._pool.shutdown(wait=False, cancel_futures=True)
