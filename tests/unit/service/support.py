"""Support for tests of the service: a fake engine, a served service, and waits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import numpy as np

from service.app import Service
from service.audio.encoding import Encoder
from service.engine import Audio, Chunk, Description, Engine, Utterance, Voice
from service.server import Server, uvicorn_config
from service.settings import Settings

SAMPLE_RATE = 8000
JSON = {"Content-Type": "application/json"}
PCM = partial(Encoder, "pcm")


class FakeEngine:
    """Engine that returns 0.1 s of audio per sentence; it can be made to wait, to fail, or to be silent."""

    sample_rate = SAMPLE_RATE

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.spoken: list[str] = []
        self.alone: list[bool] = []  # for each of `spoken`
        self.gate = threading.Event()
        self.gate.set()
        self.ungated = 0  # number of sentences of a text that pass a closed gate
        self.entered = threading.Semaphore(0)
        self.error: Exception | None = None
        self.error_after: int | None = None  # number of sentences of a text after which it fails
        self.load_error: Exception | None = None
        self.unload_error: Exception | None = None
        self.level = 9000
        self.prepared = False
        self.seeds = self.prompts = False
        self.normalizes = True  # numbers of a text stay as a test wrote them
        self.last: Utterance | None = None
        self.voices: tuple[str, ...] = ("joe",)
        self.loaded = False

    def prepare(self) -> None:
        if self.load_error:
            raise self.load_error
        self.prepared = True

    def load(self, progress: Callable[[str], None]) -> None:
        if self.load_error:
            raise self.load_error
        self.loaded = True
        progress("loaded")

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        self.last = utterance
        sentences = [sentence.strip() for sentence in utterance.text.split(".") if sentence.strip()]
        return [Chunk((number, sentence), len(sentence)) for number, sentence in enumerate(sentences, start=1)]

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:
        number, sentence = chunk.payload
        self.entered.release()
        assert number <= self.ungated or self.gate.wait(10), "a test forgot to open the gate"
        if self.error:
            raise self.error
        if self.error_after is not None and number > self.error_after:
            raise RuntimeError("a test wants this error")
        self.spoken.append(sentence)
        self.alone.append(alone)
        return np.full(SAMPLE_RATE // 10, self.level, np.int16)

    def unload(self) -> None:
        self.loaded = False
        if self.unload_error:
            raise self.unload_error

    def describe(self) -> Description:
        voices = tuple(Voice(name, name.title(), "en") for name in self.voices)
        return Description(
            "fake", "fake-1", "CPU", voices, self.concurrency, self.seeds, self.prompts, normalizes=self.normalizes
        )


class Hurried:
    """Mixin that makes uvicorn check for its end a hundred times per second instead of ten."""

    async def main_loop(self: Any) -> None:
        """Tick until the end."""
        ended = await self.on_tick(0)
        while not ended:
            await asyncio.sleep(0.01)
            ended = await self.on_tick(1)


class HurriedServer(Hurried, Server):
    """The service's server."""


def client_of(service: Service) -> httpx.AsyncClient:
    """Return a client that calls the service in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.asgi), base_url="http://service")


@dataclass(frozen=True)
class Served:
    """A ready service over real HTTP, with its address and its event loop."""

    url: str
    service: Service
    loop: asyncio.AbstractEventLoop
    server: Server


@contextlib.contextmanager
def served(settings: Settings, engine: Engine, *, page: bool = False) -> Iterator[Served]:
    """Serve in a separate thread, with the web page if `page`."""
    started: Future[Served] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(settings, engine, started, page)))
    thread.start()
    found = started.result(timeout=60)
    try:
        yield found
    finally:
        if isinstance(engine, FakeEngine):
            engine.gate.set()
        found.server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive(), "the server did not end"


async def _serve(settings: Settings, engine: Engine, started: Future[Served], page: bool) -> None:
    try:
        service = Service(settings, engine)
        await (service.start() if page else service.lifecycle.load())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = HurriedServer(uvicorn_config(service), service)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            started.set_result(Served(url, service, asyncio.get_running_loop(), server))
            await server.serve(sockets=[listener])
        await service.close()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


async def until(condition: Callable[[], Any], within_s: float = 5.0) -> None:
    """Wait for a condition; fail if it does not become true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        await asyncio.sleep(0.005)


async def entered(engine: FakeEngine) -> None:
    """Wait until one more inference has started."""
    await asyncio.to_thread(lambda: engine.entered.acquire(timeout=5))


def at_rest(service: Service) -> bool:
    """Return whether the service has no work, and all slots are free."""
    scheduler = service.scheduler
    counts = (scheduler.jobs, scheduler.waiting, len(scheduler._running), service.traffic.requests)
    return counts == (0, 0, 0, 0)


Say = Callable[..., Awaitable[httpx.Response]]
