"""Open-loop load: requests leave by the clock, whatever became of the earlier ones; none is tried again."""

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

from harness.audio_asserts import fault_in_pcm, fault_in_wav

# Short: at most 0.8 s of audio each. Lengths in seconds are well under what the voice makes of them.
SHORT = {"Yes.": 0.25, "No.": 0.25, "Good.": 0.25, "Maybe.": 0.25}
LONG = " ".join(
    f"This is sentence number {number} of a long text, and it must be heard to its very end." for number in range(1, 9)
)
LONG_S = 33.0  # it takes 36 s, give or take 4 %
TIMEOUT_S = 100


def authorization(key: str | None = None) -> dict[str, str]:
    """The header of a client with an API key: the one given, else TTS_API_KEY of the environment, else none."""
    key = os.environ.get("TTS_API_KEY", "") if key is None else key
    return {"Authorization": f"Bearer {key}"} if key else {}


@dataclass(frozen=True)
class Sample:
    """One request: wall-clock times, and `failure` empty when the whole body came and is sound to its end."""

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
        """Its answer had begun, and did not come whole."""
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
        """Long requests that were in flight from before `begin` until after `end`."""
        return [s for s in self.samples if s.kind.startswith("long") and s.began < begin and s.ended > end]

    def summary(self) -> str:
        short = sorted(sample.seconds for sample in self.samples if sample.kind == "short")
        at = {share: short[int(share * (len(short) - 1))] for share in (0.5, 0.95, 1.0)} if short else {}
        times = ", ".join(f"p{share * 100:.0f} {value:.2f} s" for share, value in at.items())
        long = sum(sample.kind.startswith("long") for sample in self.samples)
        why = "; ".join(f"{count} x {text}" for text, count in Counter(s.failure for s in self.failed).items())
        failed = f"{len(self.failed)} failed" + (f" ({why})" if why else "")
        return f"{len(self.samples)} sent ({long} long), {failed}; short {times}"


class Load:
    """Short requests at `rate` a second until stopped, and long ones on demand; its own thread and event loop.

    With `stream_every_s`, a long one that is streamed leaves that often, too. Every request carries the API `key`.
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
        """Requests that have no whole answer yet."""
        return len(self._tasks)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Sends no more, and waits for the answers to what was sent."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(TIMEOUT_S + 20)
        assert not self._thread.is_alive(), "requests are still in flight long after their timeout"

    def ask_long(self, *, streamed: bool) -> None:
        """Sends a long request now, beside the short ones."""
        kind = "long-streamed" if streamed else "long"
        asyncio.run_coroutine_threadsafe(self._spawn(self._ask(kind, LONG, LONG_S)), self._loop).result()

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
                await self._spawn(self._ask("short", text, at_least_s))
                if self._stream_every_s and due >= streamed:
                    await self._spawn(self._ask("long-streamed", LONG, LONG_S))
                    streamed += self._stream_every_s
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            while self._tasks:
                await asyncio.wait(set(self._tasks))

    async def _ask(self, kind: str, text: str, at_least_s: float) -> None:
        assert self._session
        streamed = kind == "long-streamed"
        body = {"model": "tts-1", "voice": "joe", "input": text, "response_format": "pcm" if streamed else "wav"}
        if streamed:
            body["stream_format"] = "audio"
        began, status, release = time.time(), 0, ""
        try:
            async with self._session.post(self._url, json=body) as answer:
                status, release = answer.status, answer.headers.get("X-Release", "")
                sound = await answer.read()
            listen = fault_in_pcm if streamed else fault_in_wav
            failure = listen(sound, at_least_s) if status == 200 else f"HTTP {status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = f"{type(error).__name__}: {error}"
        self._report.samples.append(Sample(kind, began, time.time(), status, release, failure))


@contextmanager
def hammering(url: str, rate: float, stream_every_s: float | None = None, key: str | None = None) -> Iterator[Load]:
    """Load for the block; its report is complete afterwards."""
    load = Load(url, rate, stream_every_s, key)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def capacity(url: str, seconds: float = 4.0, lanes: int = 4, key: str | None = None) -> float:
    """Short requests a second that the stack carries when it is kept busy by `lanes` clients for `seconds`."""

    async def lane(session: aiohttp.ClientSession, end: float) -> int:
        for done in itertools.count():
            if time.monotonic() > end:
                return done
            body = {"model": "tts-1", "voice": "joe", "input": "Good.", "response_format": "wav"}
            async with session.post(f"{url}/v1/audio/speech", json=body) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
        raise AssertionError

    async def measure() -> float:
        async with aiohttp.ClientSession(headers=authorization(key)) as session:
            began = time.monotonic()
            done = await asyncio.gather(*(lane(session, began + seconds) for _ in range(lanes)))
            return sum(done) / (time.monotonic() - began)

    return asyncio.run(measure())
