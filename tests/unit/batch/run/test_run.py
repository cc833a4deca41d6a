"""`run` against a real server with complete, wrong, incomplete or no responses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batch.run.aimd import Limit
from tests.unit.batch.support import (
    FakeService,
    batch,
    clips,
    manifest,
    named,
    plain,
    refusal,
    run,
    spoken,
    wav,
    write_tasks,
)

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_every_clip_exists_once_and_the_manifest_describes_it(service: FakeService, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 25)
    assert run(service, tasks) == 0
    out = tmp_path / "out"
    assert clips(out) == named(25)
    assert sorted(path.name for path in out.glob("*.zip")) == [f"shard-0000{n}.zip" for n in (1, 2, 3)]
    entries = manifest(out)
    assert sorted(entry["output_name"] for entry in entries) == named(25)
    for entry in entries:
        content = zipfile.ZipFile(out / entry["shard"]).read(entry["output_name"])
        assert (entry["sha256"], entry["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert (entry["duration_s"], entry["release"], entry["request_id"], entry["tries"]) == (0.1, "r1", "id", 1)
        assert 0 < entry["seconds"] < 10
    assert not (out / "failed.jsonl").exists()
    assert batch("verify", tasks, out) == 0


def test_the_manifest_is_the_sum_of_those_of_the_shards(service: FakeService, tmp_path: Path) -> None:
    run(service, write_tasks(tmp_path / "tasks.jsonl", 7), "--shard-size", 3)
    whole = (tmp_path / "out/manifest.jsonl").read_bytes()
    parts = [zipfile.ZipFile(path).read("manifest.jsonl") for path in sorted((tmp_path / "out").glob("*.zip"))]
    assert [part.count(b"\n") for part in parts] == [3, 3, 1]
    assert b"".join(parts) == whole


def test_finished_clips_are_not_requested_again(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 12)
    run(service, tasks)
    write_tasks(tasks, 15)
    assert run(service, tasks) == 0
    assert set(service.requests.values()) == {1}
    assert clips(tmp_path / "out") == named(15)
    assert "12 of 15 clips exist already" in plain(capsys.readouterr().err)


def test_request_bodies_and_headers(service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/a.wav").write_bytes(wav(4))
    fields = {"prompt_speech": "prompts/a.wav", "prompt_text": "Hi.", "seed": 0}
    tasks = tmp_path / "tasks.jsonl"
    lines = [{"uttid": "one", "syn_text": "One."} | fields, {"output_name": "two", "input_text": "Two.", "voice": "b"}]
    tasks.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setenv("TTS_API_KEY", "from-the-environment")
    (tmp_path / "key").write_text("from-a-file\n")
    assert run(service, tasks, "--in-flight-max", 4, "--voice", "a", "--api-key-file", tmp_path / "key") == 0
    sent = {body["input"]: body for body in service.bodies}
    prompt = base64.b64encode(wav(4)).decode()
    common = {"response_format": "wav", "voice": "a"}
    assert sent["One."] == {"input": "One.", "ref_audio": prompt, "ref_text": "Hi.", "seed": 0} | common
    assert sent["Two."] == {"input": "Two.", "response_format": "wav", "voice": "b"}
    assert {head["X-TTS-Class"] for head in service.headers} == {"batch"}
    assert {head["Authorization"] for head in service.headers} == {"Bearer from-a-file"}
    assert run(service, write_tasks(tasks, 1), "--voice", "a") == 0
    assert service.headers[-1]["Authorization"] == "Bearer from-the-environment"


def test_failed_items_stop_no_others_and_can_be_run_again(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def picky(body: dict[str, Any], _before: int) -> web.StreamResponse:
        if body["input"] in ("Text 3.", "Text 7."):
            return refusal(422, "unspeakable_text", "input has [characters]")
        return refusal(500, "engine_failed") if body["input"] == "Text 5." else spoken()

    service.respond = picky
    (tmp_path / "a.wav").write_bytes(wav(4))
    tasks = write_tasks(tmp_path / "tasks.jsonl", 12, prompt_audio="a.wav")
    assert run(service, tasks, "--retries", 1) == 5
    assert "failed: clip-003.wav: 422 unspeakable_text: input has [characters]" in plain(capsys.readouterr().err)
    failed = tmp_path / "out/failed.jsonl"
    errors = {task["output_name"]: task["error"] for task in map(json.loads, failed.read_text().splitlines())}
    assert {name: (error["status"], error["tries"]) for name, error in errors.items()} == {
        "clip-003.wav": (422, 1),
        "clip-005.wav": (500, 2),
        "clip-007.wav": (422, 1),
    }
    assert clips(tmp_path / "out") == [name for name in named(12) if name not in errors]
    assert batch("verify", tasks, tmp_path / "out") == 8
    service.respond = service.succeed
    assert batch("run", failed, "--endpoint", service.url, "--out", tmp_path / "out") == 0
    assert not failed.exists()
    assert clips(tmp_path / "out") == named(12)
    assert batch("verify", tasks, tmp_path / "out") == 0
    assert run(service, tasks) == 0
    assert {service.successes[f"Text {n}."] for n in range(12)} == {1}


def test_requests_in_flight_follow_the_capacity_of_the_service(service: FakeService, tmp_path: Path) -> None:
    """The service accepts three; the client finds that limit from above, with few rejections."""
    rejected = asyncio.Event()

    async def three(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        if service.in_flight > 3:
            rejected.set()
            return refusal(429, "queue_full", after="0")
        await rejected.wait()  # the first three wait: the twelve requests may arrive far apart on a busy machine
        await asyncio.sleep(0.01)
        return spoken()

    service.respond = three
    tasks = write_tasks(tmp_path / "tasks.jsonl", 200)
    assert run(service, tasks, "--in-flight", 12) == 0
    assert clips(tmp_path / "out") == named(200)
    assert service.peak_in_flight > 3
    assert service.requests.total() < 300


def test_requests_in_flight_grow_without_rejections(service: FakeService, tmp_path: Path) -> None:
    """The service responds once all allowed requests are in flight, so the speed of either side does not matter."""
    expected, tasks, waiting = Limit(1, 8, 1), 150, 0
    arrived, end = asyncio.Condition(), time.monotonic() + 20

    async def full(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        nonlocal waiting
        async with asyncio.timeout(end - time.monotonic()), arrived:
            waiting += 1
            arrived.notify_all()
            await arrived.wait_for(lambda: waiting >= expected.allowed or service.requests.total() == tasks)
            expected.accepted(waiting)
            waiting -= 1
        return spoken()

    service.respond = full
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", tasks), "--in-flight", 1, "--in-flight-max", 8) == 0
    assert service.peak_in_flight == expected.allowed == 8


@pytest.mark.parametrize("status", [401, 404])
def test_a_rejection_of_every_request_ends_the_run(
    service: FakeService, tmp_path: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def later(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(status, "no_key", "this key is not known") if service.successes.total() >= 12 else spoken()

    service.respond = later
    tasks = write_tasks(tmp_path / "tasks.jsonl", 100)
    assert run(service, tasks) == 7
    assert "this key is not known" in plain(capsys.readouterr().err)
    assert len(clips(tmp_path / "out")) >= 12
    service.respond = service.succeed
    assert run(service, tasks) == 0
    assert set(service.successes.values()) == {1}
    service.models = status
    assert run(service, write_tasks(tasks, 101)) == 7


def test_an_unreachable_service_is_reported_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        tasks = write_tasks(tmp_path / "tasks.jsonl", 3)
        assert batch("run", tasks, "--endpoint", url, "--out", tmp_path / "out", "--patience-s", 0.2) == 7
    assert "no connection" in plain(capsys.readouterr().err)


def test_the_run_ends_after_patience_s_without_an_accepted_request(service: FakeService, tmp_path: Path) -> None:
    async def never(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(503, "not_ready", after="0") if service.successes.total() >= 5 else spoken()

    service.respond = never
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 20), "--patience-s", 0.2) == 7
    assert len(clips(tmp_path / "out")) >= 5


def test_a_change_of_the_task_file_during_a_run_is_an_error(service: FakeService, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 1000, voice="x" * 200)

    async def meddling(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        if service.successes.total() == 1:
            with tasks.open("r+") as file:
                file.truncate(60_000)
        return spoken()

    service.respond = meddling
    assert run(service, tasks, "--shard-size", 200) == 4
    assert len(clips(tmp_path / "out")) > 100


def test_all_clips_of_a_folder_share_their_settings(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 2)
    assert run(service, tasks) == 0
    assert run(service, tasks, "--voice", "other") == 6
    assert "were made with voice ''" in plain(capsys.readouterr().err)
    tasks.write_text('{"output_name": "clip-000", "input_text": "Another text."}\n')
    assert run(service, tasks) == 4
    assert "exists in the output already, made from another task" in plain(capsys.readouterr().err)


def test_a_folder_without_clips_accepts_other_settings(service: FakeService, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("not a task")
    assert run(service, tasks) == 4
    assert run(service, write_tasks(tasks, 2), "--voice", "other") == 0


def test_a_finished_run_needs_no_service(service: FakeService, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 2), tmp_path / "out"
    assert run(service, tasks) == 0
    (out / "failed.jsonl").write_text("of an earlier run\n")
    assert batch("run", tasks, "--endpoint", "http://127.0.0.1:1", "--out", out) == 0
    assert not (out / "failed.jsonl").exists()
