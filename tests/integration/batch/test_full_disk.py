"""A real full disk: finished clips stay, the error is reported, and a later run completes the output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from harness.disk import Disk, small_disk
from tests.unit.batch.support import (
    FakeService,
    Started,
    batch,
    clips,
    manifest,
    named,
    refusal,
    spoken,
    start,
    write_tasks,
)

MIB = 2**20
KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        yield disk


@pytest.fixture
def service(service: FakeService) -> FakeService:
    """A service whose clips have 16 kB."""

    async def second(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    service.respond = second
    return service


def run(service: FakeService, tasks: Path, disk: Disk) -> Started:
    running = start(tasks.parent / "log", "run", tasks, "--endpoint", service.url, "--out", disk.folder / "out")
    running.end()
    return running


def check_that_the_disk_is_full(running: Started) -> None:
    assert running.process.returncode == 6, running.output
    assert "cannot be written: No space left on device" in running.output
    assert "free disk space, then run the same command again; finished shards are kept" in running.output
    assert "Traceback" not in running.output


def test_finished_clips_stay_and_a_run_with_free_space_adds_the_others(
    service: FakeService, disk: Disk, tmp_path: Path
) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 60), disk.folder / "out"
    disk.leave(400 * KIB)
    check_that_the_disk_is_full(run(service, tasks, disk))
    stored = clips(out)
    assert 20 <= len(stored) < 25, "as many complete shards as fit"
    assert not list(out.glob(".*.tmp"))
    before = {path: path.read_bytes() for path in out.glob("*.zip")}
    check_that_the_disk_is_full(run(service, tasks, disk))
    assert {path: path.read_bytes() for path in before} == before
    requests = {name: service.requests[f"Text {int(name[5:8])}."] for name in stored}
    disk.make_room()
    assert run(service, tasks, disk).process.returncode == 0
    assert clips(out) == named(60)
    assert sorted(entry["output_name"] for entry in manifest(out)) == named(60)
    assert {name: service.requests[f"Text {int(name[5:8])}."] for name in stored} == requests, (
        "no clip is synthesized twice"
    )
    assert batch("verify", tasks, out) == 0


def test_a_run_on_a_completely_full_disk_changes_nothing(service: FakeService, disk: Disk, tmp_path: Path) -> None:
    tasks, out = write_tasks(tmp_path / "tasks.jsonl", 12), disk.folder / "out"
    disk.leave(0)
    check_that_the_disk_is_full(run(service, tasks, disk))
    disk.make_room()
    assert run(service, tasks, disk).process.returncode == 0
    disk.leave(0)
    before = {path: path.read_bytes() for path in out.iterdir()}
    check_that_the_disk_is_full(run(service, write_tasks(tasks, 20), disk))
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert service.requests.total() == 12


def test_a_list_of_failures_on_a_full_disk_has_complete_lines(service: FakeService, disk: Disk, tmp_path: Path) -> None:
    async def reject(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return refusal(422, "unspeakable_text", "why " * 70)

    succeed, service.respond = service.respond, reject
    tasks, failed = write_tasks(tmp_path / "tasks.jsonl", 300), disk.folder / "out/failed.jsonl"
    disk.leave(64 * KIB)
    check_that_the_disk_is_full(run(service, tasks, disk))
    listed = [json.loads(line)["output_name"] for line in failed.read_text().splitlines()]
    assert 100 < len(listed) < 200
    assert failed.read_bytes().endswith(b"}\n")
    service.respond = succeed
    disk.make_room()
    assert batch("check", failed) == 0
    assert run(service, failed, disk).process.returncode == 0
    assert clips(disk.folder / "out") == sorted(listed)


def test_generate_on_a_full_disk_keeps_the_existing_task_file(disk: Disk, tmp_path: Path) -> None:
    book, cast, tasks = tmp_path / "book.txt", tmp_path / "cast.yaml", disk.folder / "tasks.jsonl"
    book.write_text("It was late. Nobody came.\n\n" * 2000)
    cast.write_text("narrator: {voice: joe}\n")
    tasks.write_text("corrected")
    disk.leave(64 * KIB)
    assert batch("generate", book, "--characters", cast, "--out", tasks, "--force") == 9
    assert tasks.read_text() == "corrected"
    assert [path.name for path in disk.folder.iterdir() if path.name != "ballast"] == ["tasks.jsonl"]
