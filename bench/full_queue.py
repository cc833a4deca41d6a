"""Minutes with a full queue: the growth of the service's memory, and the latency of rejections.

Requests that bypass the proxy fill the queue, because the proxy passes fewer than the queue holds (`maxconn`). The
timed requests use the proxy.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from statistics import median, quantiles

import aiohttp

from bench import direct_service
from bench.http_client import SPEECH
from build.console import out
from harness.load import SHORT, TIMEOUT_S, authorization
from harness.stack import Stack

MORE = 16  # clients beyond the places of the queue
RETRY_S = 0.5  # shorter than Retry-After, so that no place stays empty
REQUEST_S = 0.2  # between two timed requests
SAMPLE_S = 2.0  # between two readings of the memory
TEXTS = (*SHORT, "This is a sentence of some two or three seconds, as most of them are.")
PLACES = 'tts_queue_capacity{priority="people"}'
DEPTH = 'tts_queue_depth{priority="people"}'
RESIDENT = "process_resident_memory_bytes"
MB = 1e6


@dataclass
class QueueResult:
    """Result of one measurement: memory in bytes over time, statuses, and the seconds that rejections took."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    rejected_s: list[float] = field(default_factory=list)

    def grown(self, minutes: float) -> tuple[float, float]:
        """Return the memory after a fifth of the time and at its end, each as the median over a tenth of the time."""
        whole_s = minutes * 60
        begins = (whole_s * 0.2, whole_s * 0.9)
        early, late = (
            median(size for at, size in self.memory if begin <= at < begin + whole_s / 10) for begin in begins
        )
        return early, late


def measure(stack: Stack, runs: int, minutes: float) -> None:
    """Print for each of `runs` the memory growth from a fifth of the time to its end, and the rejections' latency."""
    stack.run("build.cutover", "switch", stack.release("bench: full"))
    for _ in range(runs):
        result = asyncio.run(_filled(stack.url, direct_service.url(stack), minutes))
        early, late = result.grown(minutes)
        at = quantiles(result.rejected_s, n=100)
        responses = ", ".join(f"{count} x {status}" for status, count in sorted(result.statuses.items()))
        out.print(
            f"{minutes:g} minutes, {median(result.waiting):.0f} queued (min. {min(result.waiting):.0f}): {responses}; "
            f"resident {early / MB:.1f} MB from minute {minutes / 5:g}, {late / MB:.1f} MB at the end "
            f"({late / early - 1:+.1%}); {len(result.rejected_s)} rejected through the proxy after p50 "
            f"{at[49] * 1e3:.1f} ms, p99 {at[98] * 1e3:.1f} ms, slowest {max(result.rejected_s) * 1e3:.0f} ms"
        )


async def _filled(proxied: str, past_proxy: str, minutes: float) -> QueueResult:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S + 20)  # the service times out first
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=authorization()) as session:
        return await FullQueue(session, proxied, past_proxy).run(minutes)


class FullQueue:
    """A service with a full queue, and its clients."""

    def __init__(self, session: aiohttp.ClientSession, proxied: str, past_proxy: str) -> None:
        self.result = QueueResult()
        self._session = session
        self._proxied = proxied
        self._past_proxy = past_proxy
        self._texts = itertools.cycle(TEXTS)

    async def run(self, minutes: float) -> QueueResult:
        """Fill the queue, then measure for so many minutes."""
        places = await self._metric(PLACES)
        tasks = [asyncio.create_task(self._fill()) for _ in range(int(places) + MORE)]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while await self._metric(DEPTH) < places:
                    await asyncio.sleep(REQUEST_S)
            tasks.append(asyncio.create_task(self._request_on_schedule()))
            await self._sample(minutes * 60)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if not isinstance(error, asyncio.CancelledError):
                raise RuntimeError("a client stopped sending requests") from error
        return self.result

    async def _fill(self) -> None:
        """Send requests continuously; retry soon after a rejection."""
        while True:
            if await self._request(self._past_proxy) != HTTPStatus.OK:
                await asyncio.sleep(RETRY_S)

    async def _request_on_schedule(self) -> None:
        """Send requests on a fixed schedule, whatever the earlier ones do: an accepted one waits for seconds."""
        async with asyncio.TaskGroup() as requests:
            while True:
                requests.create_task(self._request_timed())
                await asyncio.sleep(REQUEST_S)

    async def _request_timed(self) -> None:
        began = time.monotonic()
        if await self._request(self._proxied) == HTTPStatus.TOO_MANY_REQUESTS:
            self.result.rejected_s.append(time.monotonic() - began)

    async def _request(self, url: str) -> int:
        """Return the status of the response, 0 without one."""
        status = 0
        try:
            body = {"input": next(self._texts), "voice": "joe", "response_format": "wav"}
            async with self._session.post(url + SPEECH, json=body) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.result.statuses[status] += 1
        return status

    async def _sample(self, seconds: float) -> None:
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            self.result.memory.append((now, await self._metric(RESIDENT)))
            self.result.waiting.append(await self._metric(DEPTH))
            await asyncio.sleep(SAMPLE_S)

    async def _metric(self, name: str) -> float:
        """Return one value of the service's metrics."""
        async with self._session.get(f"{self._past_proxy}/metrics") as response:
            text = await response.text()
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))
