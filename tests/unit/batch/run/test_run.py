"""`run` against a real server that answers well, badly, half or not at all."""

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
    Mouth,
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

pytestmark = pytest.mark.usefixtures("soon")


def test_every_clip_is_there_once_with_its_facts(mouth: Mouth, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 25)
    assert run(mouth, tasks) == 0
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


def test_a_shard_has_its_own_part_of_the_manifest(mouth: Mouth, tmp_path: Path) -> None:
    run(mouth, write_tasks(tmp_path / "tasks.jsonl", 7), "--shard-size", 3)
    whole = (tmp_path / "out/manifest.jsonl").read_bytes()
    parts = [zipfile.ZipFile(path).read("manifest.jsonl") for path in sorted((tmp_path / "out").glob("*.zip"))]
    assert [part.count(b"\n") for part in parts] == [3, 3, 1]
    assert b"".join(parts) == whole


def test_what_is_done_is_not_asked_for_again(mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 12)
    run(mouth, tasks)
    write_tasks(tasks, 15)
    assert run(mouth, tasks) == 0
    assert set(mouth.asked.values()) == {1}
    assert clips(tmp_path / "out") == named(15)
    assert "12 of 15 are done already" in plain(capsys.readouterr().err)


def test_what_is_sent(mouth: Mouth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/a.wav").write_bytes(wav())
    fields = {"prompt_speech": "prompts/a.wav", "prompt_text": "Hi.", "seed": 0}
    tasks = tmp_path / "tasks.jsonl"
    lines = [{"uttid": "one", "syn_text": "One."} | fields, {"output_name": "two", "input_text": "Two.", "voice": "b"}]
    tasks.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setenv("TTS_API_KEY", "from-the-environment")
    (tmp_path / "key").write_text("from-a-file\n")
    assert run(mouth, tasks, "--in-flight-max", 4, "--voice", "a", "--api-key-file", tmp_path / "key") == 0
    sent = {body["input"]: body for body in mouth.bodies}
    prompt = base64.b64encode(wav()).decode()
    common = {"response_format": "wav", "voice": "a"}
    assert sent["One."] == {"input": "One.", "ref_audio": prompt, "ref_text": "Hi.", "seed": 0} | common
    assert sent["Two."] == {"input": "Two.", "response_format": "wav", "voice": "b"}
    assert {head["X-TTS-Class"] for head in mouth.headers} == {"batch"}
    assert {head["Authorization"] for head in mouth.headers} == {"Bearer from-a-file"}
    assert run(mouth, write_tasks(tasks, 1), "--voice", "a") == 0
    assert mouth.headers[-1]["Authorization"] == "Bearer from-the-environment"


def test_a_failure_stops_nothing_and_can_be_run_again(
    mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def picky(body: dict[str, Any], _before: int) -> web.StreamResponse:
        if body["input"] in ("Text 3.", "Text 7."):
            return refusal(422, "unspeakable_text", "input has [characters]")
        return refusal(500, "engine_failed") if body["input"] == "Text 5." else spoken()

    mouth.answer = picky
    (tmp_path / "a.wav").write_bytes(wav())
    tasks = write_tasks(tmp_path / "tasks.jsonl", 12, prompt_audio="a.wav")
    assert run(mouth, tasks, "--retries", 1) == 5
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
    mouth.answer = mouth.well
    assert batch("run", failed, "--endpoint", mouth.url, "--out", tmp_path / "out") == 0
    assert not failed.exists()
    assert clips(tmp_path / "out") == named(12)
    assert batch("verify", tasks, tmp_path / "out") == 0
    assert run(mouth, tasks) == 0
    assert {mouth.given[f"Text {n}."] for n in range(12)} == {1}


def test_in_flight_follows_what_the_service_takes(mouth: Mouth, tmp_path: Path) -> None:
    """A service that takes three: found from below and from above, and the surplus of refusals stays small."""
    refused = asyncio.Event()

    async def three(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        if mouth.in_flight > 3:
            refused.set()
            return refusal(429, "queue_full", after="0")
        await refused.wait()  # the first three: twelve are on their way, and on a busy machine they come far apart
        await asyncio.sleep(0.01)
        return spoken()

    mouth.answer = three
    tasks = write_tasks(tmp_path / "tasks.jsonl", 200)
    assert run(mouth, tasks, "--in-flight", 12) == 0
    assert clips(tmp_path / "out") == named(200)
    assert mouth.most > 3
    assert mouth.asked.total() < 300


def test_in_flight_grows_where_nothing_is_refused(mouth: Mouth, tmp_path: Path) -> None:
    """The service answers a request once as many as may be are there: nothing depends on how fast either side is."""
    expected, tasks, held = Limit(1, 8, 1), 150, 0
    came, end = asyncio.Condition(), time.monotonic() + 20

    async def full(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        nonlocal held
        async with asyncio.timeout(end - time.monotonic()), came:
            held += 1
            came.notify_all()
            await came.wait_for(lambda: held >= expected.allowed or mouth.asked.total() == tasks)
            expected.accepted(held)
            held -= 1
        return spoken()

    mouth.answer = full
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", tasks), "--in-flight", 1, "--in-flight-max", 8) == 0
    assert mouth.most == expected.allowed == 8


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_of_everything_ends_the_run(
    mouth: Mouth, tmp_path: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def later(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(status, "no_key", "this key is not known") if mouth.given.total() >= 12 else spoken()

    mouth.answer = later
    tasks = write_tasks(tmp_path / "tasks.jsonl", 100)
    assert run(mouth, tasks) == 7
    assert "this key is not known" in plain(capsys.readouterr().err)
    assert len(clips(tmp_path / "out")) >= 12
    mouth.answer = mouth.well
    assert run(mouth, tasks) == 0
    assert set(mouth.given.values()) == {1}
    mouth.models = status
    assert run(mouth, write_tasks(tasks, 101)) == 7


def test_nobody_there_is_told_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        tasks = write_tasks(tmp_path / "tasks.jsonl", 3)
        assert batch("run", tasks, "--endpoint", url, "--out", tmp_path / "out", "--patience-s", 0.2) == 7
    assert "no connection" in plain(capsys.readouterr().err)


def test_patience_with_a_service_that_takes_nothing_ends(mouth: Mouth, tmp_path: Path) -> None:
    async def never(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(503, "not_ready", after="0") if mouth.given.total() >= 5 else spoken()

    mouth.answer = never
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 20), "--patience-s", 0.2) == 7
    assert len(clips(tmp_path / "out")) >= 5


def test_a_task_file_that_changes_meanwhile_is_noticed(mouth: Mouth, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 1000, voice="x" * 200)

    async def meddling(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        if mouth.given.total() == 1:
            with tasks.open("r+") as file:
                file.truncate(60_000)
        return spoken()

    mouth.answer = meddling
    assert run(mouth, tasks, "--shard-size", 200) == 4
    assert len(clips(tmp_path / "out")) > 100


def test_one_folder_has_clips_of_one_kind(mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl", 2)
    assert run(mouth, tasks) == 0
    assert run(mouth, tasks, "--voice", "other") == 6
    assert "were made with voice ''" in plain(capsys.readouterr().err)
    tasks.write_text('{"output_name": "clip-000", "input_text": "Another text."}\n')
    assert run(mouth, tasks) == 4
    assert "is in the output already, made otherwise" in plain(capsys.readouterr().err)


def test_a_folder_without_clips_may_be_begun_otherwise(mouth: Mouth, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("not a task")
    assert run(mouth, tasks) == 4
    assert run(mouth, write_tasks(tasks, 2), "--voice", "other") == 0


def test_where_all_is_done_no_service_is_needed(mouth: Mouth, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 2), tmp_path / "out"
    assert run(mouth, tasks) == 0
    (out / "failed.jsonl").write_text("of an earlier run\n")
    assert batch("run", tasks, "--endpoint", "http://127.0.0.1:1", "--out", out) == 0
    assert not (out / "failed.jsonl").exists()
