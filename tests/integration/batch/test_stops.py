"""A run that is killed, stopped or out of disk space: finished clips stay, and a later run completes the output."""

from __future__ import annotations

import asyncio
import resource
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.unit.batch.support import (
    FakeService,
    Started,
    batch,
    clips,
    manifest,
    named,
    plain,
    spoken,
    start,
    until,
    write_tasks,
)


def begin(service: FakeService, tasks: Path, *options: object, **further: Any) -> Started:
    return start(
        tasks.parent / "log",
        "run",
        tasks,
        "--endpoint",
        service.url,
        "--out",
        tasks.parent / "out",
        *options,
        **further,
    )


def test_a_killed_run_continues_without_repeating_stored_clips(service: FakeService, tmp_path: Path) -> None:
    async def slow(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        await asyncio.sleep(0.005)
        return spoken()

    service.respond = slow
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 150), tmp_path / "out"
    stored: Counter[str] = Counter()
    for further in (7, 31, 40):
        earlier = service.successes.total()
        running = begin(service, tasks, "--shard-size", 3)
        until(lambda: service.successes.total() >= earlier + further)  # noqa: B023 - called in this round
        running.process.kill()
        running.end()
        there = clips(out)
        assert len(there) == len(set(there))
        assert set(there) >= set(stored), "clips of finished shards stay"
        now = {name: service.requests[f"Text {int(name[5:8])}."] for name in there}
        assert all(now[name] == times for name, times in stored.items()), "stored clips are not requested again"
        stored = Counter(now)
    assert len(stored) > 40
    assert begin(service, tasks).end() == 0
    assert clips(out) == named(150)
    assert not list(out.glob(".*.tmp"))
    assert batch("verify", tasks, out) == 0


def test_a_run_killed_while_it_writes_a_shard_leaves_no_partial_shard(service: FakeService, tmp_path: Path) -> None:
    async def long(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(120.0)

    service.respond = long
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    running = begin(service, tasks)
    until(lambda: list(out.glob("*shard*")))
    running.process.kill()
    running.end()
    assert clips(out) == [], "no partial shard"
    assert begin(service, tasks).end() == 0
    assert clips(out) == named(20)
    assert batch("verify", tasks, out) == 0


def test_a_run_killed_before_it_wrote_the_manifest_rebuilds_it(service: FakeService, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    options = ("run", tasks, "--endpoint", service.url, "--out", out)
    assert batch(*options) == 0
    whole = (out / "manifest.jsonl").read_text()
    (out / "manifest.jsonl").write_text(whole[: len(whole) * 3 // 4])
    (out / ".shard-00003.zip.tmp").write_bytes(b"half a shard")
    assert batch("verify", tasks, out) == 8
    assert batch(*options) == 0
    assert (out / "manifest.jsonl").read_text() == whole
    assert batch("verify", tasks, out) == 0
    assert set(service.requests.values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_completes_the_requests_in_flight(service: FakeService, tmp_path: Path, number: signal.Signals) -> None:
    opened = threading.Event()

    async def blocked(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while service.requests.total() > 13 and not opened.is_set():
            await asyncio.sleep(0.005)
        return spoken()

    service.respond = blocked
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 40), tmp_path / "out"
    running = begin(service, tasks)
    until(lambda: service.requests.total() > 13 and service.in_flight >= 4)
    running.process.send_signal(number)
    until(lambda: "stopping" in running.output)
    opened.set()
    assert running.end() == 130
    requests = service.requests.total()
    assert 14 <= requests < 14 + 10, "no request started after the stop"
    assert f"{requests} clips of this run are stored" in running.output
    assert len(clips(out)) == len(manifest(out)) == requests
    assert begin(service, tasks).end() == 0
    assert clips(out) == named(40)
    assert set(service.requests.values()) == {1}


def test_a_second_stop_drops_the_requests_in_flight(service: FakeService, tmp_path: Path) -> None:
    async def hanging(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while service.requests.total() > 5:
            await asyncio.sleep(0.005)
        return spoken()

    service.respond = hanging
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 40), tmp_path / "out"
    running = begin(service, tasks)
    until(lambda: service.requests.total() > 5 and service.in_flight >= 4)
    running.process.send_signal(signal.SIGINT)
    until(lambda: "stopping" in running.output)
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    stored = clips(out)
    assert stored
    assert len(stored) == service.successes.total(), "received clips are stored"


def test_a_stopped_run_of_failed_jsonl_keeps_its_unfinished_lines(service: FakeService, tmp_path: Path) -> None:
    async def hanging(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while True:
            await asyncio.sleep(0.005)

    out = tmp_path / "out"
    out.mkdir()
    failed = write_tasks(out / "failed.jsonl", 9)
    service.respond = hanging
    running = start(tmp_path / "log", "run", failed, "--endpoint", service.url, "--out", out)
    until(lambda: service.in_flight >= 4)
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 130
    assert failed.read_text().count("\n") == 9
    service.respond = service.succeed
    assert start(tmp_path / "log", "run", failed, "--endpoint", service.url, "--out", out).end() == 0
    assert clips(out) == named(9)
    assert not failed.exists()


def small_files(size: int) -> Any:
    """Return a preexec_fn that limits files to `size` bytes: a full disk for one process."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_keeps_finished_clips(service: FakeService, tmp_path: Path) -> None:
    async def by_length(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(10.0 if int(body["input"][5:-1]) >= 10 else 0.1)

    service.respond = by_length
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 30), tmp_path / "out"
    running = begin(service, tasks, "--shard-size", 5, "--in-flight-max", 1, preexec_fn=small_files(100_000))
    assert running.end() == 6, running.output
    assert "cannot be written: File too large" in running.output
    assert "free disk space" in running.output
    assert "were synthesized but not stored" in running.output
    synthesized = sum(service.successes[f"Text {n}."] for n in range(10))
    assert len(clips(out)) == len(manifest(out)) >= synthesized - 1, "all but the one in flight"
    assert synthesized >= 9
    assert not list(out.glob(".*.tmp"))
    assert begin(service, tasks).end() == 0
    assert clips(out) == named(30)
    assert sum(service.requests[f"Text {n}."] for n in range(10)) <= 11
    assert batch("verify", tasks, out) == 0


def test_a_smaller_shard_is_written_when_a_full_one_does_not_fit(service: FakeService, tmp_path: Path) -> None:
    async def seconds(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    service.respond = seconds
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    assert begin(service, tasks, preexec_fn=small_files(100_000)).end() == 0
    assert clips(out) == named(20)
    assert len(list(out.glob("*.zip"))) == 4
    assert set(service.requests.values()) == {1}


def test_two_runs_cannot_share_a_folder(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = threading.Event()

    async def blocked(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while not opened.is_set():
            await asyncio.sleep(0.005)
        return spoken()

    service.respond = blocked
    tasks = write_tasks(tmp_path / "tasks.jsonl", 5)
    first = begin(service, tasks)
    until(lambda: service.in_flight)
    assert batch("run", tasks, "--endpoint", service.url, "--out", tmp_path / "out") == 6
    assert "another run is writing" in plain(capsys.readouterr().err)
    opened.set()
    assert first.end() == 0


def test_a_damaged_shard_is_an_error_and_never_read_as_empty(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    options = ("run", tasks, "--endpoint", service.url, "--out", out)
    assert batch(*options) == 0
    shard = out / "shard-00001.zip"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-30])
    assert batch(*options) == 6
    assert "move it away and run the same command again" in plain(capsys.readouterr().err)
    shard.write_bytes(whole.replace(b"\1\2\1\2", b"\1\2\1\3", 1))
    assert batch("verify", tasks, out) == 8
    assert "has changed since it was written" in plain(capsys.readouterr().err)
    shard.rename(tmp_path / "away.zip")
    assert batch(*options) == 0
    assert clips(out) == named(20)
    assert batch("verify", tasks, out) == 0


def test_an_output_folder_that_cannot_be_created_is_an_error(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    tasks = write_tasks(tmp_path / "tasks.jsonl", 1)
    assert batch("run", tasks, "--endpoint", service.url, "--out", tmp_path / "file" / "out") == 6
    assert "Not a directory" in plain(capsys.readouterr().err)


def test_nohup_keeps_the_run_alive(service: FakeService, tmp_path: Path) -> None:
    async def slow(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return spoken()

    service.respond = slow
    tasks = write_tasks(tmp_path / "tasks.jsonl", 40)
    running = begin(service, tasks, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: service.requests.total() > 5)
    running.process.send_signal(signal.SIGHUP)
    assert running.end() == 0
    assert clips(tmp_path / "out") == named(40)
