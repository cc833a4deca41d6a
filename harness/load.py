"""Open-loop load: requests start on a fixed schedule, independent of earlier ones, without retries."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from build.model.percentile import nearest_rank
from harness.audio_asserts import PCM_RATE, fault_in_pcm, fault_in_wav

# Short: at most 0.8 s of audio each. The values are lower bounds of the duration, in seconds.
SHORT = {"Yes.": 0.25, "No.": 0.25, "Good.": 0.25, "Maybe.": 0.25}
LONG = " ".join(
    f"This is sentence number {number} of a long text, and it must be heard to its very end." for number in range(1, 9)
)
LONG_S = 33.0  # it takes 36 s, give or take 4 %
TIMEOUT_S = 100


def authorization(key: str | None = None) -> dict[str, str]:
    """Return the header with an API key: the argument, else TTS_API_KEY of the environment, else no header."""
    key = os.environ.get("TTS_API_KEY", "") if key is None else key
    return {"Authorization": f"Bearer {key}"} if key else {}


@dataclass(frozen=True)
class Sample:
    """One request with wall-clock times; `failure` is empty if the complete body arrived and its audio is valid."""

    kind: str
    began: float
    ended: float
    status: int
    release: str
    failure: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def cut(self) -> bool:
        """Whether the response started and is incomplete."""
        return bool(self.failure) and self.status == 200


@dataclass
class Report:
    samples: list[Sample] = field(default_factory=list)

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.failure]

    @property
    def releases(self) -> Counter[str]:
        return Counter(sample.release for sample in self.samples)

    def spanning(self, begin: float, end: float) -> list[Sample]:
        """Return the long requests in flight from before `begin` until after `end`."""
        return [sample for sample in self._long() if sample.began < begin and sample.ended > end]

    def _long(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.kind.startswith("long")]

    def summary(self) -> str:
        short = [sample.seconds for sample in self.samples if sample.kind == "short"]
        times = ", ".join(f"p{percent} {nearest_rank(short, percent):.2f} s" for percent in (50, 95, 100) if short)
        failures = Counter(sample.failure for sample in self.failed)
        reasons = "; ".join(f"{count} x {text}" for text, count in failures.items())
        failed = f"{len(self.failed)} failed" + (f" ({reasons})" if reasons else "")
        return f"{len(self.samples)} sent ({len(self._long())} long), {failed}; short {times}"


class Load:
    """Short requests at `rate` per second until stopped, and long ones on demand; in a separate thread and event loop.

    With `stream_every_s`, a long streamed request starts at that interval too. Every request has the API `key`.
    """

    def __init__(self, url: str, rate: float, stream_every_s: float | None = None, key: str | None = None) -> None:
        self._url = f"{url}/v1/audio/speech"
        self._headers = authorization(key)
        self._rate = rate
        self._stream_every_s = stream_every_s
        self._report = Report()
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def report(self) -> Report:
        return self._report

    @property
    def in_flight(self) -> int:
        """Number of requests without a complete response."""
        return len(self._tasks)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send no more requests, and wait for the responses."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(TIMEOUT_S + 20)
        assert not self._thread.is_alive(), "requests are still in flight after their timeout"

    def ask_long(self, *, streamed: bool) -> None:
        """Send a long request now, in addition to the short ones."""
        kind = "long-streamed" if streamed else "long"
        asyncio.run_coroutine_threadsafe(self._spawn(self._request(kind, LONG, LONG_S)), self._loop).result()

    async def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._generate())
        self._loop.close()

    async def _generate(self) -> None:
        texts = itertools.cycle(SHORT.items())
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=self._headers
        ) as self._session:
            due = streamed = time.monotonic()
            while not self._stop.is_set():
                text, at_least_s = next(texts)
                await self._spawn(self._request("short", text, at_least_s))
                if self._stream_every_s and due >= streamed:
                    await self._spawn(self._request("long-streamed", LONG, LONG_S))
                    streamed += self._stream_every_s
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            while self._tasks:
                await asyncio.wait(set(self._tasks))

    async def _request(self, kind: str, text: str, at_least_s: float) -> None:
        assert self._session
        streamed = kind == "long-streamed"
        body = {"model": "tts-1", "voice": "joe", "input": text, "response_format": "pcm" if streamed else "wav"}
        if streamed:
            body["stream_format"] = "audio"
        began, status, release = time.time(), 0, ""
        try:
            async with self._session.post(self._url, json=body) as response:
                status, release = response.status, response.headers.get("X-Release", "")
                sound = await response.read()
            rate = int(response.headers.get("X-Sample-Rate", PCM_RATE))  # older releases send PCM at the engine's rate
            fault = fault_in_pcm(sound, at_least_s, rate) if streamed else fault_in_wav(sound, at_least_s)
            failure = fault if status == 200 else f"HTTP {status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}"
        self._report.samples.append(Sample(kind, began, time.time(), status, release, failure))


@contextmanager
def hammering(url: str, rate: float, stream_every_s: float | None = None, key: str | None = None) -> Iterator[Load]:
    """Run load for the block; its report is complete afterwards."""
    load = Load(url, rate, stream_every_s, key)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def capacity(url: str, seconds: float = 4.0, lanes: int = 4, key: str | None = None) -> float:
    """Return the short requests per second that `lanes` concurrent clients complete in `seconds`."""

    async def lane(session: aiohttp.ClientSession, end: float) -> int:
        for done in itertools.count():
            if time.monotonic() > end:
                return done
            body = {"model": "tts-1", "voice": "joe", "input": "Good.", "response_format": "wav"}
            async with session.post(f"{url}/v1/audio/speech", json=body) as response:
                assert response.status == 200, await response.text()
                await response.read()
        raise AssertionError

    async def measure() -> float:
        async with aiohttp.ClientSession(headers=authorization(key)) as session:
            began = time.monotonic()
            done = await asyncio.gather(*(lane(session, began + seconds) for _ in range(lanes)))
            return sum(done) / (time.monotonic() - began)

    return asyncio.run(measure())
