"""`run`: synthesize every task of a file exactly once, across restarts and overload of the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from batch.errors import BatchError, EndpointError, FailedItemsError, OutputError, StoppedError
from batch.output.output import FAILED, Output
from batch.output.shard_writer import Packer
from batch.output.shards import Clip
from batch.run.aimd import Limit
from batch.run.client import Client
from batch.run.concurrency import Slots
from batch.run.progress import Progress
from batch.run.responses import Response, ResponseAction, judge, pause_s
from batch.settings import Settings
from batch.tasks.validate import CheckedTasks
from service.taskfile.tasks import Task

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Stop signals; those that are ignored stay ignored (nohup)."""

_NO_CONNECTION_S = 5.0
"""Seconds without any connection until the run fails: a wrong URL is reported soon.

A service that responds but is not ready gets patience_s.
"""

_SPARE = 2  # extra workers: while some wait for the disk or a retry, every slot of the service stays in use


class Run:
    """One run. However it ends, finished clips are in shards."""

    def __init__(
        self, settings: Settings, checked: CheckedTasks, output: Output, client: Client, progress: Progress
    ) -> None:
        self._settings = settings
        self._checked = checked
        self._output = output
        self._client = client
        self._progress = progress
        self._todo = checked.todo()
        self._packer = Packer(output, settings.shard_size)
        self._limit = Limit(settings.in_flight_min, settings.in_flight_max, settings.in_flight_first)
        self._slots = Slots(self._limit)
        self._stopping = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._error: BatchError | None = None
        self._unexpected: BaseException | None = None
        self._synthesized = self._failed = 0
        self._served = time.monotonic()

    async def run(self) -> None:
        """Run all pending tasks; raise the BatchError that explains why some remain."""
        with self._signals():
            if self._checked.pending:
                await self._run_workers([self._wait_for_service()])
                await self._run_workers([self._work() for _ in range(self._settings.in_flight_max + _SPARE)])
            await self._flush()
            self._publish_failed()
        self._raise_outcome()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in signals:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def _run_workers(self, jobs: list[Coroutine[Any, Any, None]]) -> None:
        """Wait for all jobs, until a second Ctrl-C cancels them."""
        self._workers = [asyncio.create_task(job) for job in jobs]
        await asyncio.wait(self._workers)
        for worker in self._workers:
            if not worker.cancelled() and (error := worker.exception()):
                self._unexpected = self._unexpected or error

    def _stop(self) -> None:
        """Finish the requests in flight; on the second call, abandon them."""
        if self._stopping.is_set():
            self._abandon()
            return
        self._progress.note("stopping after the requests in flight (Ctrl-C again drops them)")
        self._stopping.set()

    def _abandon(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def _halt(self, error: BatchError) -> None:
        self._error = self._error or error
        self._stopping.set()

    async def _wait_for_service(self) -> None:
        """Wait until the service responds."""
        began, tries = time.monotonic(), 0
        while not self._stopping.is_set():
            response = await self._client.check()
            verdict = judge(response)
            if verdict is ResponseAction.DONE:
                break
            tries += 1
            connected = response.status or response.sent
            patience_s = self._settings.patience_s if connected else min(_NO_CONNECTION_S, self._settings.patience_s)
            if verdict in (ResponseAction.STOP, ResponseAction.FAILED) or time.monotonic() - began >= patience_s:
                self._halt(self._unusable(response, verdict))
                return
            self._progress.waiting(response.description)
            await self._pause(pause_s(tries, response.retry_after_s, random.random()))  # noqa: S311 - jitter
        self._served = time.monotonic()

    async def _work(self) -> None:
        try:
            while not self._stopping.is_set() and (found := next(self._todo, None)):
                await self._item(*found)
        except OutputError as error:
            self._halt(error)
            self._abandon()  # clips that cannot be stored need no synthesis
        except BatchError as error:
            self._halt(error)
        except Exception:
            self._stopping.set()
            raise

    async def _item(self, task: Task, identity: str) -> None:
        """Request one clip until it succeeds, finally fails, or the run ends."""
        tries = counted = 0
        while True:
            async with self._slots:
                if self._stopping.is_set():
                    return
                sent = time.monotonic()
                response = await self._client.speak(task)
                verdict = judge(response)
                self._adapt(response, verdict, sent)
            tries += 1
            counted += verdict is ResponseAction.RETRY
            if verdict is ResponseAction.DONE:
                await self._store(task, identity, response, tries)
                return
            if verdict is ResponseAction.FAILED or counted > self._settings.retries:
                self._fail(task, response, tries)
                return
            impatient = time.monotonic() - self._served >= self._settings.patience_s
            if verdict is ResponseAction.STOP or (verdict is ResponseAction.WAIT and impatient):
                self._halt(self._unusable(response, verdict))
                return
            self._progress.waiting(response.description)
            await self._pause(pause_s(tries, response.retry_after_s, random.random()))  # noqa: S311 - jitter

    def _adapt(self, response: Response, verdict: ResponseAction, sent: float) -> None:
        now = time.monotonic()
        if verdict is not ResponseAction.WAIT:
            self._served = now
        if verdict is ResponseAction.DONE:
            self._limit.accepted(self._slots.in_flight)
        elif response.status in (429, 504):
            self._limit.refused(sent, now)
        self._progress.limit = self._limit.allowed

    async def _store(self, task: Task, identity: str, response: Response, tries: int) -> None:
        facts = {
            "output_name": task.output_name,
            "duration_s": response.duration_s,
            "release": response.release,
            "seconds": response.seconds,
            "tries": tries,
            "request_id": response.request_id,
            "task": identity,
        }
        self._synthesized += 1
        self._progress.finished(response.duration_s)
        await self._packer.add(Clip(response.content, facts))

    def _fail(self, task: Task, response: Response, tries: int) -> None:
        self._failed += 1
        fields = task.present_fields()
        if task.prompt_audio:  # relative to failed.jsonl from now on
            path = self._checked.prompts.path(task.prompt_audio).absolute()
            fields["prompt_audio"] = os.path.relpath(path, self._output.folder.absolute())
        error: dict[str, Any] = {"status": response.status, "code": response.code, "message": response.message}
        error |= {"tries": tries, "request_id": response.request_id}
        self._output.failed(fields | {"error": error})
        self._progress.failed(f"{task.output_name}: {response.description}")

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _flush(self) -> None:
        try:
            await self._packer.flush()
        except OutputError as error:
            self._halt(error)

    def _publish_failed(self) -> None:
        """Write this run's failures to failed.jsonl.

        If the run reads failed.jsonl as its tasks and is incomplete, the file stays: it lists the rest.
        """
        whole = not self._checked.pending and not self._stopping.is_set()
        if whole or not _same(self._checked.path, self._output.folder / FAILED):
            self._output.publish_failed()

    def _raise_outcome(self) -> None:
        if self._unexpected:
            raise self._unexpected
        if lost := self._synthesized - self._output.written:
            self._progress.note(f"{lost} clips were synthesized but not stored: the next run makes them again")
        if self._error:
            raise self._error
        if self._stopping.is_set():
            stored = f"stopped; {self._output.written} clips of this run are stored"
            raise StoppedError(stored, "run the same command again to continue")
        if self._failed:
            path = self._output.folder / FAILED
            items = "1 item" if self._failed == 1 else f"{self._failed} items"
            message = f"{items} failed, all others are done; {path} lists the errors"
            raise FailedItemsError(message, f"correct {path}, then run it as the task file")

    def _unusable(self, response: Response, verdict: ResponseAction) -> EndpointError:
        endpoint = self._settings.endpoint
        if verdict is not ResponseAction.WAIT:
            remedy = "correct the endpoint or the API key, then run the same command again; finished clips are kept"
            return EndpointError(f"{endpoint} rejects every request: {response.description}", remedy)
        remedy = "check the service, then run the same command again; finished clips are kept"
        return EndpointError(f"{endpoint} accepts no request: {response.description}", remedy)


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)
