"""A run that is killed, stopped, or has no room: what was done stays, what was not is done later, nothing twice."""

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
    Mouth,
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


def begin(mouth: Mouth, tasks: Path, *options: object, **more: Any) -> Started:
    return start(
        tasks.parent / "log", "run", tasks, "--endpoint", mouth.url, "--out", tasks.parent / "out", *options, **more
    )


def test_killed_at_any_moment_it_goes_on(mouth: Mouth, tmp_path: Path) -> None:
    async def slow(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        await asyncio.sleep(0.005)
        return spoken()

    mouth.answer = slow
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 150), tmp_path / "out"
    kept: Counter[str] = Counter()
    for more in (7, 31, 40):
        so_far = mouth.given.total()
        running = begin(mouth, tasks, "--shard-size", 3)
        until(lambda: mouth.given.total() >= so_far + more)  # noqa: B023 - called in this round
        running.process.kill()
        running.end()
        there = clips(out)
        assert len(there) == len(set(there))
        assert set(there) >= set(kept), "what was in a finished shard is there"
        now = {name: mouth.asked[f"Text {int(name[5:8])}."] for name in there}
        assert all(now[name] == times for name, times in kept.items()), "what was there is not asked for again"
        kept = Counter(now)
    assert len(kept) > 40
    assert begin(mouth, tasks).end() == 0
    assert clips(out) == named(150)
    assert not list(out.glob(".*.tmp"))
    assert batch("verify", tasks, out) == 0


def test_killed_while_a_shard_is_written(mouth: Mouth, tmp_path: Path) -> None:
    async def long(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(120.0)

    mouth.answer = long
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    running = begin(mouth, tasks)
    until(lambda: list(out.glob("*shard*")))
    running.process.kill()
    running.end()
    assert clips(out) == [], "it is not there, rather than half there"
    assert begin(mouth, tasks).end() == 0
    assert clips(out) == named(20)
    assert batch("verify", tasks, out) == 0


def test_killed_between_a_shard_and_the_manifest(mouth: Mouth, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    options = ("run", tasks, "--endpoint", mouth.url, "--out", out)
    assert batch(*options) == 0
    whole = (out / "manifest.jsonl").read_text()
    (out / "manifest.jsonl").write_text(whole[: len(whole) * 3 // 4])
    (out / ".shard-00003.zip.tmp").write_bytes(b"half a shard")
    assert batch("verify", tasks, out) == 8
    assert batch(*options) == 0
    assert (out / "manifest.jsonl").read_text() == whole
    assert batch("verify", tasks, out) == 0
    assert set(mouth.asked.values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_what_is_in_flight(mouth: Mouth, tmp_path: Path, number: signal.Signals) -> None:
    opened = threading.Event()

    async def gated(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while mouth.asked.total() > 13 and not opened.is_set():
            await asyncio.sleep(0.005)
        return spoken()

    mouth.answer = gated
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 40), tmp_path / "out"
    running = begin(mouth, tasks)
    until(lambda: mouth.asked.total() > 13 and mouth.in_flight >= 4)
    running.process.send_signal(number)
    until(lambda: "stopping" in running.told)
    opened.set()
    assert running.end() == 130
    asked = mouth.asked.total()
    assert 14 <= asked < 14 + 10, "nothing was begun any more"
    assert f"{asked} clips of this run are kept" in running.told
    assert len(clips(out)) == len(manifest(out)) == asked
    assert begin(mouth, tasks).end() == 0
    assert clips(out) == named(40)
    assert set(mouth.asked.values()) == {1}


def test_a_second_stop_leaves_what_is_in_flight(mouth: Mouth, tmp_path: Path) -> None:
    async def hanging(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while mouth.asked.total() > 5:
            await asyncio.sleep(0.005)
        return spoken()

    mouth.answer = hanging
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 40), tmp_path / "out"
    running = begin(mouth, tasks)
    until(lambda: mouth.asked.total() > 5 and mouth.in_flight >= 4)
    running.process.send_signal(signal.SIGINT)
    until(lambda: "stopping" in running.told)
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130
    kept = clips(out)
    assert kept
    assert len(kept) == mouth.given.total(), "what had come is kept"


def test_stopped_in_the_middle_of_failed_jsonl_that_keeps_the_rest(mouth: Mouth, tmp_path: Path) -> None:
    async def hanging(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while True:
            await asyncio.sleep(0.005)

    out = tmp_path / "out"
    out.mkdir()
    failed = write_tasks(out / "failed.jsonl", 9)
    mouth.answer = hanging
    running = start(tmp_path / "log", "run", failed, "--endpoint", mouth.url, "--out", out)
    until(lambda: mouth.in_flight >= 4)
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 130
    assert failed.read_text().count("\n") == 9
    mouth.answer = mouth.well
    assert start(tmp_path / "log", "run", failed, "--endpoint", mouth.url, "--out", out).end() == 0
    assert clips(out) == named(9)
    assert not failed.exists()


def small_files(size: int) -> Any:
    """For a process that may write no file longer than `size` bytes: a disk that is full, for one process."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_costs_nothing_that_was_done(mouth: Mouth, tmp_path: Path) -> None:
    async def by_length(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(10.0 if int(body["input"][5:-1]) >= 10 else 0.1)

    mouth.answer = by_length
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 30), tmp_path / "out"
    running = begin(mouth, tasks, "--shard-size", 5, "--in-flight-max", 1, preexec_fn=small_files(100_000))
    assert running.end() == 6, running.told
    assert "cannot be written: File too large" in running.told
    assert "make room" in running.told
    assert "were spoken and could not be kept" in running.told
    given = sum(mouth.given[f"Text {n}."] for n in range(10))
    assert len(clips(out)) == len(manifest(out)) >= given - 1, "but for the one that was in flight"
    assert given >= 9
    assert not list(out.glob(".*.tmp"))
    assert begin(mouth, tasks).end() == 0
    assert clips(out) == named(30)
    assert sum(mouth.asked[f"Text {n}."] for n in range(10)) <= 11
    assert batch("verify", tasks, out) == 0


def test_where_a_shard_finds_no_room_a_smaller_one_may(mouth: Mouth, tmp_path: Path) -> None:
    async def seconds(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    mouth.answer = seconds
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    assert begin(mouth, tasks, preexec_fn=small_files(100_000)).end() == 0
    assert clips(out) == named(20)
    assert len(list(out.glob("*.zip"))) == 4
    assert set(mouth.asked.values()) == {1}


def test_two_runs_do_not_share_a_folder(mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = threading.Event()

    async def gated(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        while not opened.is_set():
            await asyncio.sleep(0.005)
        return spoken()

    mouth.answer = gated
    tasks = write_tasks(tmp_path / "tasks.jsonl", 5)
    first = begin(mouth, tasks)
    until(lambda: mouth.in_flight)
    assert batch("run", tasks, "--endpoint", mouth.url, "--out", tmp_path / "out") == 6
    assert "another run is writing" in plain(capsys.readouterr().err)
    opened.set()
    assert first.end() == 0


def test_a_damaged_shard_is_refused_and_never_read_as_empty(
    mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 20), tmp_path / "out"
    options = ("run", tasks, "--endpoint", mouth.url, "--out", out)
    assert batch(*options) == 0
    shard = out / "shard-00001.zip"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-30])
    assert batch(*options) == 6
    assert "move it away and run again" in plain(capsys.readouterr().err)
    shard.write_bytes(whole.replace(b"\1\2\1\2", b"\1\2\1\3", 1))
    assert batch("verify", tasks, out) == 8
    assert "is not what was written" in plain(capsys.readouterr().err)
    shard.rename(tmp_path / "away.zip")
    assert batch(*options) == 0
    assert clips(out) == named(20)
    assert batch("verify", tasks, out) == 0


def test_a_folder_that_cannot_be_made(mouth: Mouth, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    tasks = write_tasks(tmp_path / "tasks.jsonl", 1)
    assert batch("run", tasks, "--endpoint", mouth.url, "--out", tmp_path / "file" / "out") == 6
    assert "Not a directory" in plain(capsys.readouterr().err)


def test_nohup_is_heeded(mouth: Mouth, tmp_path: Path) -> None:
    async def slow(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return spoken()

    mouth.answer = slow
    tasks = write_tasks(tmp_path / "tasks.jsonl", 40)
    running = begin(mouth, tasks, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: mouth.asked.total() > 5)
    running.process.send_signal(signal.SIGHUP)
    assert running.end() == 0
    assert clips(tmp_path / "out") == named(40)
