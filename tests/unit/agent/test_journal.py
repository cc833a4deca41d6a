"""A record is whole and durable, or it is not there; damage is reported, never read as an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal import VERSION, Journal
from agent.protocol import Refusal, RefusedError
from harness.disk import small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_records_are_numbered_dated_and_read_again(path: Path) -> None:
    journal = Journal(path, lambda: "2026-01-01T00:00:00.000Z")
    journal.append({"event": "begin", "text": "小明 says “hello”\u2028and goes"})
    journal.append({"event": "end"})
    assert Journal(path).records == journal.records
    assert [(record["seq"], record["v"], record["at"]) for record in journal.records] == [
        (0, VERSION, "2026-01-01T00:00:00.000Z"),
        (1, VERSION, "2026-01-01T00:00:00.000Z"),
    ]


@pytest.mark.parametrize(
    ("old", "new"), [(b'"event":"b"', b'"event":"x"'), (b'"seq":1', b'"seq":2'), (b"{", b""), (b"}\n{", b"}\n\n{")]
)
def test_damage_refuses_reads_and_writes_and_keeps_the_file(path: Path, old: bytes, new: bytes) -> None:
    journal = Journal(path)
    for event in ("a", "b", "c"):
        journal.append({"event": event})
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    before = path.read_bytes()
    damaged = Journal(path)
    with pytest.raises(RefusedError, match=r"line \d of .* is not as it was written"):
        damaged.check()
    with pytest.raises(RefusedError) as refused:
        damaged.append({"event": "d"})
    assert refused.value.refusal is Refusal.DAMAGED
    assert path.read_bytes() == before


def test_a_removed_record_is_damage(path: Path) -> None:
    journal = Journal(path)
    for event in ("a", "b", "c"):
        journal.append({"event": event})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert "line 2" in Journal(path).damage


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_that_a_power_cut_left_unfinished_is_dropped(path: Path, kept: int) -> None:
    journal = Journal(path)
    journal.append({"event": "a"})
    whole = path.read_bytes()
    journal.append({"event": "b"})
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:kept])
    again = Journal(path)
    assert [record["event"] for record in again.records] == ["a"]
    assert again.append({"event": "c"})["seq"] == 1
    assert [record["event"] for record in Journal(path).records] == ["a", "c"]


def test_a_full_disk_refuses_a_record_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        journal = Journal(disk.folder / "journal.jsonl")
        journal.append({"event": "a"})
        disk.leave(0)
        with pytest.raises(RefusedError) as refused:
            journal.append({"event": "b", "facts": "x" * 8192})
        assert refused.value.refusal is Refusal.UNWRITABLE
        disk.make_room()
        assert journal.append({"event": "c"})["seq"] == 1
        assert [record["event"] for record in Journal(disk.folder / "journal.jsonl").records] == ["a", "c"]
