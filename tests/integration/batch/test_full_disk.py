"""A disk without room, a real one: what was done stays, what was not is said, and with room again the rest is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from harness.disk import Disk, small_disk
from tests.unit.batch.support import Mouth, Started, batch, clips, manifest, named, refusal, spoken, start, write_tasks

MIB = 2**20
KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        yield disk


@pytest.fixture
def mouth(mouth: Mouth) -> Mouth:
    """One whose clips are of 16 kB."""

    async def second(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    mouth.answer = second
    return mouth


def run(mouth: Mouth, tasks: Path, disk: Disk) -> Started:
    running = start(tasks.parent / "log", "run", tasks, "--endpoint", mouth.url, "--out", disk.folder / "out")
    running.end()
    return running


def check_that_it_is_full(running: Started) -> None:
    assert running.process.returncode == 6, running.told
    assert "cannot be written: No space left on device" in running.told
    assert "make room; what is in finished shards stays" in running.told
    assert "Traceback" not in running.told


def test_what_was_done_stays_and_the_rest_is_done_when_there_is_room(mouth: Mouth, disk: Disk, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 60), disk.folder / "out"
    disk.leave(400 * KIB)
    check_that_it_is_full(run(mouth, tasks, disk))
    kept = clips(out)
    assert 20 <= len(kept) < 25, "as many as find room, in whole shards"
    assert not list(out.glob(".*.tmp"))
    before = {path: path.read_bytes() for path in out.glob("*.zip")}
    check_that_it_is_full(run(mouth, tasks, disk))
    assert {path: path.read_bytes() for path in before} == before
    asked = {name: mouth.asked[f"Text {int(name[5:8])}."] for name in kept}
    disk.make_room()
    assert run(mouth, tasks, disk).process.returncode == 0
    assert clips(out) == named(60)
    assert sorted(entry["output_name"] for entry in manifest(out)) == named(60)
    assert {name: mouth.asked[f"Text {int(name[5:8])}."] for name in kept} == asked, "nothing is made twice"
    assert batch("verify", tasks, out) == 0


def test_to_begin_or_go_on_without_a_byte_of_room_changes_nothing(mouth: Mouth, disk: Disk, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 12), disk.folder / "out"
    disk.leave(0)
    check_that_it_is_full(run(mouth, tasks, disk))
    disk.make_room()
    assert run(mouth, tasks, disk).process.returncode == 0
    disk.leave(0)
    before = {path: path.read_bytes() for path in out.iterdir()}
    check_that_it_is_full(run(mouth, write_tasks(tasks, 20), disk))
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert mouth.asked.total() == 12


def test_a_list_of_failures_that_finds_no_room_is_whole_as_far_as_it_goes(
    mouth: Mouth, disk: Disk, tmp_path: Path
) -> None:
    async def none(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(422, "unspeakable_text", "why " * 70)

    well, mouth.answer = mouth.answer, none
    tasks, failed = write_tasks(tmp_path / "tasks.jsonl", 300), disk.folder / "out/failed.jsonl"
    disk.leave(64 * KIB)
    check_that_it_is_full(run(mouth, tasks, disk))
    told = [json.loads(line)["output_name"] for line in failed.read_text().splitlines()]
    assert 100 < len(told) < 200
    assert failed.read_bytes().endswith(b"}\n")
    mouth.answer = well
    disk.make_room()
    assert batch("check", failed) == 0
    assert run(mouth, failed, disk).process.returncode == 0
    assert clips(disk.folder / "out") == sorted(told)


def test_tasks_of_a_book_that_find_no_room_leave_the_old_ones(disk: Disk, tmp_path: Path) -> None:
    book, cast, tasks = tmp_path / "book.txt", tmp_path / "cast.yaml", disk.folder / "tasks.jsonl"
    book.write_text("It was late. Nobody came.\n\n" * 2000)
    cast.write_text("narrator: {voice: joe}\n")
    tasks.write_text("corrected")
    disk.leave(64 * KIB)
    assert batch("generate", book, "--characters", cast, "--out", tasks, "--force") == 9
    assert tasks.read_text() == "corrected"
    assert [path.name for path in disk.folder.iterdir() if path.name != "ballast"] == ["tasks.jsonl"]
