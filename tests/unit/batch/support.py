"""A scripted speech service on a real socket, and helpers to run the client and read its output."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import wave
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from batch.__main__ import command

RATE = 8000
STARTED: list[subprocess.Popen[bytes]] = []
"""Processes of the current test; the fixture `no_process_survives` ends them."""


def wav(seconds: float = 0.1) -> bytes:
    """Return a clip of this length."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"\1\2" * int(seconds * RATE))
    return file.getvalue()


def spoken(seconds: float = 0.1, **headers: str) -> web.Response:
    """Return a complete response."""
    own = {"X-Release": "r1", "X-Request-Id": "id", "X-Audio-Duration": f"{seconds:.3f}", "X-Sample-Rate": str(RATE)}
    return web.Response(body=wav(seconds), content_type="audio/wav", headers=own | headers)


def refusal(status: int, code: str = "", message: str = "no", after: str = "") -> web.Response:
    """Return an error response in the service's format."""
    headers = {"Retry-After": after} if after else {}
    return web.json_response({"error": {"message": message, "code": code}}, status=status, headers=headers)


Responder = Callable[[dict[str, Any], int], Awaitable[web.StreamResponse]]
"""Receives the body of a request and the number of earlier requests with the same text."""


class CutError(Exception):
    """Raised by `respond` to close the connection, before the response or in the middle of it."""

    def __init__(self, half: bool) -> None:
        super().__init__()
        self.half = half


async def _cut(request: web.Request, half: bool) -> web.StreamResponse:
    response = web.StreamResponse()
    if half:
        response.content_type = "audio/wav"
        response.content_length = len(wav())
        await response.prepare(request)
        await response.write(wav()[:500])
    assert request.transport
    request.transport.close()  # what was written goes out first
    return response


class FakeService:
    """The service. `respond` returns the response to a request; `requests` and `successes` count by text."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.successes: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self.models = 200
        self.respond: Responder = self.succeed
        self.url = ""

    async def succeed(self, _body: dict[str, Any], _before: int) -> web.StreamResponse:
        """Return a complete response at once."""
        return spoken()

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/speech."""
        body = json.loads(await request.read())
        text = body["input"]
        before = self.requests[text]
        self.requests[text] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = await self.respond(body, before)
        except CutError as cut:
            return await _cut(request, cut.half)
        finally:
            self.in_flight -= 1
        self.successes[text] += response.status == 200
        return response

    async def list_models(self, _request: web.Request) -> web.StreamResponse:
        """GET /v1/models."""
        return web.json_response({"data": []}, status=self.models)

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Listen until `ended`."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/audio/speech", self.speech)
        app.router.add_get("/v1/models", self.list_models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await ended.wait()
        await runner.cleanup()


@contextmanager
def serving(make: Callable[[threading.Event, asyncio.Event], Awaitable[None]]) -> Iterator[None]:
    """Run a server in a thread with a separate event loop."""
    started = threading.Event()
    stop: list[Callable[[], object]] = []

    async def run() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        await make(started, ended)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield
    finally:
        stop[0]()
        thread.join(20)


def write_tasks(path: Path, count: int, **fields: Any) -> Path:
    """Write a task file with `count` tasks: clip-000, clip-001, ..."""
    tasks = ({"output_name": f"clip-{n:03}", "input_text": f"Text {n}."} | fields for n in range(count))
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return path


def clips(folder: Path) -> list[str]:
    """Return the names of all clips in all shards, with repetitions; check that each shard is complete."""
    found: list[str] = []
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as shard:
            assert shard.testzip() is None
            found += [name for name in shard.namelist() if name != "manifest.jsonl"]
    return sorted(found)


def named(count: int) -> list[str]:
    """Return the names of the clips of `write_tasks`."""
    return [f"clip-{n:03}.wav" for n in range(count)]


def manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of the manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def batch(*args: object) -> int:
    """Run a command line in this process; return its exit code."""
    return command([str(arg) for arg in args])


def run(service: FakeService, tasks: Path, *options: object) -> int:
    """Run `run` with the output beside the task file; return its exit code."""
    return batch("run", tasks, "--endpoint", service.url, "--out", tasks.parent / "out", *options)


@dataclass
class Started:
    """A command line in a separate process, and its output."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """The output so far."""
        return plain(self.log.read_text())

    def end(self, within_s: float = 60) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(within_s)


def environment() -> dict[str, str]:
    """Return the environment of client processes, with bytecode: without it the imports alone take a second."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TTS_", "PYTHONDONT"))}
    return inherited | {"PYTHONPYCACHEPREFIX": str(Path(".cache/bytecode").resolve())}


def start(log: Path, *args: object, **options: Any) -> Started:
    """Start a command line in a separate process."""
    argv = [sys.executable, "-m", "batch", *map(str, args)]
    with log.open("w") as out:
        process = subprocess.Popen(argv, stderr=out, stdout=out, env=environment(), **options)
    STARTED.append(process)
    return Started(process, log)


def until(condition: Callable[[], Any], within_s: float = 30.0) -> None:
    """Wait for a condition; fail when it stays false."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition stayed false"
        time.sleep(0.005)


def plain(text: str) -> str:
    """Return text without the line breaks and colours of a terminal."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
