"""`run` against the service's own application: its queue's refusals, its drain, its errors."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from service.app import Service
from service.lifecycle import Phase
from service.settings import Settings
from tests.unit.batch.support import batch, clips, looping, manifest, named, start, until, write_tasks
from tests.unit.service.support import FakeEngine


class Slow(FakeEngine):
    """Takes ten milliseconds for a sentence."""

    def synthesize(self, utterance):  # type: ignore[no-untyped-def]  # as in FakeEngine
        time.sleep(0.01)
        yield from super().synthesize(utterance)


class Real:
    """The service with a small queue, listening."""

    def __init__(self, folder: Path) -> None:
        self.engine = Slow(2)
        self.settings = dataclasses.replace(
            Settings.from_env({}), control=folder / "c.sock", release="test-1", queue=2, concurrency=2
        )
        self.url = ""

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Load, listen, and end well."""
        self.service = Service(self.settings, self.engine)
        await self.service.lifecycle.load()
        config = uvicorn.Config(self.service.asgi, port=0, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.005)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self.loop = asyncio.get_running_loop()
        started.set()
        await ended.wait()
        server.should_exit = True
        await serving
        await self.service.close()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    real = Real(tmp_path)
    with looping(real.serve):
        yield real


def test_more_than_the_queue_holds_is_asked_again(real: Real, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 60)
    options = ("--in-flight", 8, "--in-flight-max", 8)
    assert batch("run", tasks, "--endpoint", real.url, "--out", tmp_path / "out", *options) == 0
    assert clips(tmp_path / "out") == named(60)
    entries = manifest(tmp_path / "out")
    assert {(entry["release"], entry["duration_s"]) for entry in entries} == {("test-1", 0.1)}
    assert max(entry["tries"] for entry in entries) > 1, "the queue was full at times"
    assert sorted(real.engine.spoken)[-60:] == sorted(f"Text {n}" for n in range(60))


def test_a_drain_in_the_middle_is_waited_out(real: Real, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 60)
    running = start(tmp_path / "log", "run", tasks, "--endpoint", real.url, "--out", tmp_path / "out", "--retries", 0)
    until(lambda: len(real.engine.spoken) > 20)
    real.loop.call_soon_threadsafe(real.service.lifecycle.drain)
    until(lambda: real.service.lifecycle.phase is Phase.DRAINING)
    refused = real.service.metrics.requests.labels("/v1/audio/speech", 503)
    until(lambda: refused._value.get() >= 2)
    real.loop.call_soon_threadsafe(real.service.lifecycle.resume)
    assert running.end() == 0, running.told
    assert clips(tmp_path / "out") == named(60)


def test_what_the_voice_cannot_speak_fails_alone(real: Real, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 5)
    with tasks.open("a") as file:
        file.write(json.dumps({"output_name": "x", "input_text": "你好"}) + "\n")
        file.write(json.dumps({"output_name": "y", "input_text": "Hello.", "voice": "nobody"}) + "\n")
    assert batch("run", tasks, "--endpoint", real.url, "--out", tmp_path / "out") == 5
    failed = [json.loads(line) for line in (tmp_path / "out/failed.jsonl").read_text().splitlines()]
    codes = {task["output_name"]: task["error"]["code"] for task in failed}
    assert codes == {"x.wav": "unspeakable_text", "y.wav": "no_such_voice"}
    assert clips(tmp_path / "out") == named(5)
