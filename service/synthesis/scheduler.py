"""The scheduler: a bounded queue in front of as many slots as the engine has parallel inferences.

A text holds a slot for one chunk (about a sentence), in which a worker thread speaks it and encodes what is complete.
The fair queue decides which text gets a slot, admission which texts are accepted. Free slots speak more chunks of the
same text in advance. A text that has begun is finished unless its client leaves or the engine fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from service.engine import Audio, EngineFatalError, NoMemoryError, is_out_of_memory
from service.errors import DeadlineExceededError, QueueFullError, ServiceError, UnavailableError
from service.metrics.metrics import Metrics, Refusal
from service.synthesis import in_flight
from service.synthesis.admission import Admission, Claim, Pace, Queue
from service.synthesis.fair_queue import FairQueue, Priority
from service.synthesis.job import Hooks, Job, OnPosition, Part, Task, Terms

logger = logging.getLogger(__name__)

_BATCH_SHARE = 4
"""Batch items have the queue limit divided by this as places, in addition to those of people."""

_AHEAD = 2
"""Chunks of a text, per slot, that are begun before the client takes them: a slow reader piles up no more."""

HUNG = 2
"""Multiple of the request deadline after which an inference counts as hung."""


class _Inference(NamedTuple):
    """An inference in a slot: its text, its start, and what happens if it takes too long."""

    job: Job
    began: float
    timers: tuple[asyncio.TimerHandle, ...]


class Scheduler:
    """Runs syntheses on `slots` threads, with a queue of at most `queue_limit` that have not started.

    Batch items have additional places, a quarter as many: no batch can fill the queue for other requests.
    """

    def __init__(
        self, slots: int, queue_limit: int, deadline_s: float, metrics: Metrics, on_broken: Callable[[str], None],
        characters_per_s: float = 100.0,
    ) -> None:  # fmt: skip
        self.slots = slots
        self.queue_limit = queue_limit
        self.deadline_s = deadline_s
        self.completed = 0
        self.last_success: float | None = None
        self._jobs: list[Job] = []
        self._queue: list[Job] = []
        self._metrics = metrics
        self._on_broken = on_broken
        self._fair = FairQueue()
        self._pace = Pace(characters_per_s)
        self._admissions = {priority: Admission(slots) for priority in Priority}
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="engine")
        self._busy = 0  # slots; counted before their threads start
        self._running: dict[Future[None], _Inference] = {}
        for priority in Priority:
            metrics.queue_depth.labels(priority).set_function(functools.partial(self.waiting_of, priority))
            metrics.queue_capacity.labels(priority).set(self.capacity_of(priority))
            metrics.queue_wait_seconds.labels(priority)
        metrics.jobs.set_function(lambda: self.jobs)

    @property
    def jobs(self) -> int:
        """Number of syntheses accepted and not finished."""
        return len(self._jobs)

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

    @contextlib.asynccontextmanager
    async def job(self, task: Task, on_position: OnPosition | None = None) -> AsyncIterator[AsyncIterator[Part]]:
        """Accept a synthesis and yield its parts in order.

        Raise QueueFullError if the queue is full or the text could not be spoken in time, DeadlineExceededError if it
        did not start by its deadline or an inference took longer than that. The traffic knows whether this task is a
        batch item. A batch item that has not started by its deadline gets QueueFullError, because a retry can succeed.
        Leaving the block releases everything in any case.
        """
        job = Job(task, self._admit(task), _AHEAD * self.slots, on_position)
        late = asyncio.get_running_loop().call_later(job.terms.claim.deadline_s, self._expire, job)
        self._jobs.append(job)
        self._enqueue(job)
        self._dispatch()
        try:
            yield self._parts(job)
            self.completed += 1
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.abandoned.inc()
            raise
        finally:
            late.cancel()
            job.ended = True
            self._jobs.remove(job)
            self._dequeue(job)

    def _admit(self, task: Task) -> Terms:
        """Return the terms of a text; raise QueueFullError if it cannot be spoken in time."""
        priority, now = Priority.BATCH if in_flight.is_batch() else Priority.PEOPLE, asyncio.get_running_loop().time()
        admission, work_s = self._admissions[priority], self._pace.estimate(task.size)
        new = Claim.of(work_s, now, self.deadline_s)
        claims = [job.claim for job in self._jobs if priority is Priority.BATCH or job.priority is priority]
        queue = Queue(claims, self.capacity_of(priority), self.waiting_of(priority))
        if admission.excess_s(task.text, new, queue, now) > 0:
            self._metrics.rejected.labels(Refusal.QUEUE_FULL if priority is Priority.PEOPLE else Refusal.BATCH).inc()
            retry_after = admission.reject(task.text, new, queue, now)
            raise QueueFullError(_describe_overload(queue, priority, new), retry_after=retry_after)
        admission.accept(task.text)
        return Terms(priority, now, new, in_flight.current())

    def _enqueue(self, job: Job) -> None:
        """Insert a job where its turn will be; those behind it move back."""
        place = sum(_place(other) <= _place(job) for other in self._queue)
        self._queue.insert(place, job)
        self._report_positions(place)

    def _dequeue(self, job: Job) -> None:
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

    async def _parts(self, job: Job) -> AsyncIterator[Part]:
        while True:
            try:
                part = await job.take()
            except ServiceError:
                raise
            except NoMemoryError as error:
                logger.warning("%s", error)
                raise UnavailableError(str(error), code="out_of_memory", retry_after=1) from None
            except Exception as error:  # any engine error: the request fails, the service continues
                logger.exception("the engine failed")
                raise ServiceError(f"the engine failed: {type(error).__name__}", code="engine_failed") from error
            self._dispatch()
            yield part
            if part.last:
                return

    def _expire(self, job: Job) -> None:
        """Reject a text that has not started by its deadline; one that has is finished."""
        if job.begun or job.ended:
            return
        if job.priority is Priority.BATCH:
            self._metrics.rejected.labels(Refusal.BATCH).inc()
            seconds = f"{job.terms.claim.deadline_s:g} s"
            message = f"other requests came first, and the batch item did not start within {seconds}; retry it"
            job.fail(QueueFullError(message, retry_after=1))
        else:
            self._miss_deadline(job)

    def _miss_deadline(self, job: Job) -> None:
        if not job.ended:
            self._metrics.rejected.labels(Refusal.DEADLINE).inc()
            job.fail(DeadlineExceededError(f"no speech within {job.terms.claim.deadline_s:g} s"))

    def _dispatch(self) -> None:
        """Give free slots to the texts whose turn it is."""
        while len(self._running) < self.slots:
            job = self._fair.next((job for job in self._jobs if job.ready), asyncio.get_running_loop().time())
            if job is None:
                return
            self._submit(job)

    def _submit(self, job: Job) -> None:
        """Start the next chunk of a job. Its slot is free again once the thread is done.

        An inference cannot be interrupted: it keeps its core after a disconnect or the deadline.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not job.begun:
            self._dequeue(job)
            if job.terms.request:
                job.terms.request.spoken = True
            self._metrics.queue_wait_seconds.labels(job.priority).observe(now - job.terms.accepted)
        number = job.submit(now)
        self._busy += 1
        try:
            thread = self._pool.submit(self._work, job, number)
        except RuntimeError as error:  # no thread can be started
            self._busy -= 1
            job.leave_slot(0.0)
            job.fail(error)
            return
        timers = (
            loop.call_later(self.deadline_s, self._miss_deadline, job),
            loop.call_later(HUNG * self.deadline_s, self._report_hang, HUNG * self.deadline_s),
        )
        self._running[thread] = _Inference(job, now, timers)

        def done(_thread: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed when the last thread ends
                loop.call_soon_threadsafe(self._release_slot, thread)

        thread.add_done_callback(done)

    def _work(self, job: Job, number: int) -> None:
        try:
            job.work(number, Hooks(self._alone, self._dispatch, self._note_speech))
        except Exception as error:
            if is_out_of_memory(error):
                self._metrics.out_of_memory.inc()
            raise

    def _note_speech(self, samples: Audio, seconds: float) -> None:
        self._metrics.inference_seconds.observe(seconds)
        if samples.any():  # silence does not prove that the engine works
            self.last_success = time.monotonic()
            self._metrics.last_success.set_to_current_time()

    def _alone(self) -> bool:
        """Return whether the one inference that runs may use all processors; a guess, since threads ask."""
        return self._busy <= 1 and not self._queue

    def _release_slot(self, thread: Future[None]) -> None:
        self._busy -= 1
        job, began, timers = self._running.pop(thread)
        for timer in timers:
            timer.cancel()
        job.leave_slot(asyncio.get_running_loop().time() - began)
        error = None if thread.cancelled() else thread.exception()
        if isinstance(error, Exception):
            job.fail(error)
        # Report it here too: after a disconnect no other code sees the error.
        if isinstance(error, EngineFatalError):
            self._on_broken(f"the engine is broken: {error}")
        if job.complete and not job.alone:  # alone it was faster than it is beside others
            self._pace.learn(job.task.size, job.worked_s)
        self._dispatch()

    def _report_hang(self, seconds: float) -> None:
        """Report a hung inference: its slot is lost until a new process starts."""
        self._on_broken(f"an inference has not returned for {seconds:g} s")

    def close(self) -> None:
        """Accept no more work; do not wait for threads that are still in the engine."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _describe_overload(queue: Queue, priority: Priority, new: Claim) -> str:
    if queue.waiting < queue.capacity:
        return f"other requests come first, and this text could not be spoken within {new.deadline_s:.0f} s"
    items = "requests" if priority is Priority.PEOPLE else "batch items"
    return f"the queue is full: {queue.waiting} {items} are waiting"


def _place(job: Job) -> tuple[bool, float]:
    return job.priority is Priority.BATCH, job.due
