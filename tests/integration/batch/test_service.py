"""`run` against the service's own application: full queue, drain and errors."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.engine import Audio, Chunk
from service.settings import Settings
from service.synthesis.lifecycle import Phase
from tests.unit.batch.support import batch, clips, manifest, named, start, until, write_tasks
from tests.unit.service.support import FakeEngine, Served, served


class SlowEngine(FakeEngine):
    """Needs ten milliseconds per sentence."""

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:
        time.sleep(0.01)
        return super().speak(chunk, alone=alone)


@dataclass(frozen=True)
class RunningService:
    """The service with a small queue, on a socket."""

    engine: SlowEngine
    served: Served

    @property
    def url(self) -> str:
        return self.served.url


@pytest.fixture
def running_service(tmp_path: Path) -> Iterator[RunningService]:
    engine = SlowEngine(2)
    settings = dataclasses.replace(
        Settings.from_env({}), control=tmp_path / "c.sock", release="test-1", queue=2, concurrency=2
    )
    with served(settings, engine) as server:
        yield RunningService(engine, server)


def test_requests_beyond_the_queue_are_retried(running_service: RunningService, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 60)
    options = ("--in-flight", 8, "--in-flight-max", 8)
    assert batch("run", tasks, "--endpoint", running_service.url, "--out", tmp_path / "out", *options) == 0
    assert clips(tmp_path / "out") == named(60)
    entries = manifest(tmp_path / "out")
    assert {(entry["release"], entry["duration_s"]) for entry in entries} == {("test-1", 0.1)}
    assert max(entry["tries"] for entry in entries) > 1, "the queue was full at times"
    assert sorted(running_service.engine.spoken)[-60:] == sorted(f"Text {n}" for n in range(60))


def test_the_run_waits_for_a_drain_to_end(running_service: RunningService, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 60)
    running = start(
        tmp_path / "log", "run", tasks, "--endpoint", running_service.url, "--out", tmp_path / "out", "--retries", 0
    )
    until(lambda: len(running_service.engine.spoken) > 20)
    running_service.served.loop.call_soon_threadsafe(running_service.served.service.lifecycle.drain)
    until(lambda: running_service.served.service.lifecycle.phase is Phase.DRAINING)
    rejected = running_service.served.service.metrics.requests.labels(
        "/v1/audio/speech", 503, running_service.served.service.settings.release
    )
    until(lambda: rejected._value.get() >= 2)
    running_service.served.loop.call_soon_threadsafe(running_service.served.service.lifecycle.resume)
    assert running.end() == 0, running.output
    assert clips(tmp_path / "out") == named(60)


def test_a_rejected_item_fails_alone(running_service: RunningService, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 5)
    with tasks.open("a") as file:
        file.write(json.dumps({"output_name": "x", "input_text": "你好"}) + "\n")
        file.write(json.dumps({"output_name": "y", "input_text": "Hello.", "voice": "unknown"}) + "\n")
    assert batch("run", tasks, "--endpoint", running_service.url, "--out", tmp_path / "out") == 5
    failed = [json.loads(line) for line in (tmp_path / "out/failed.jsonl").read_text().splitlines()]
    codes = {task["output_name"]: task["error"]["code"] for task in failed}
    assert codes == {"x.wav": "unspeakable_text", "y.wav": "no_such_voice"}
    assert clips(tmp_path / "out") == named(5)
