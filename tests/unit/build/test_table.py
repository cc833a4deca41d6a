"""Records fit the terminal: as a table if it is wide enough, else as one block each, never truncated."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import pytest
from rich.console import Console
from rich.text import Text

from build.table import Column, Records, duration, local_time

ROWS = [("62166590", "switch", "13", "preflight: [x] " + "reason " * 12), ("1a58d9a5", "rollback", "1", "-")]
COLUMNS = ("id", "kind", Column("seconds", right=True), "error")


def rendered(width: int, rows: Sequence[tuple[str, ...]] = ROWS) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    console.print(Records(COLUMNS, rows))
    output = console.file
    assert isinstance(output, io.StringIO)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_a_wide_terminal_shows_a_row_for_each_record() -> None:
    lines = rendered(140)
    assert len(lines) == 1 + len(ROWS)
    assert lines[0].split() == ["id", "kind", "seconds", "error"]
    assert lines[1].startswith("62166590  switch         13  preflight: [x] reason")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_narrow_terminal_shows_a_block_for_each_record(width: int) -> None:
    lines = rendered(width)
    assert max(map(len, lines)) <= width
    assert lines[:3] == ["id       62166590", "kind     switch", "seconds  13"]
    assert " ".join(" ".join(lines).split()).count("reason") == 12, "nothing is truncated"
    assert lines[-4:] == ["", "id       1a58d9a5", "kind     rollback", "seconds  1"], "a block omits empty cells"


def test_the_widest_table_that_fits_is_a_table() -> None:
    exact = len("62166590  rollback       13  short")
    rows = [("62166590", "rollback", "13", "short")]
    assert len(rendered(exact, rows)) == 2
    assert len(rendered(exact - 1, rows)) == 4


@pytest.mark.parametrize("width", [48, 80])
def test_a_column_that_wraps_keeps_the_table(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    columns = ("setting", Column("meaning", wraps=True))
    console.print(Records(columns, [("client_rpm", "word " * 40), ("port", "x" * 100)]))
    output = console.file
    assert isinstance(output, io.StringIO)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    assert lines[0] == "setting     meaning"
    assert lines[1].startswith("client_rpm  word word")
    text = " ".join(lines)
    assert (text.count("word"), text.count("x")) == (40, 100), "nothing is truncated"


def test_without_records_only_the_headings_are_shown() -> None:
    assert rendered(80, []) == ["id  kind  seconds  error"]


def test_a_styled_cell_is_as_wide_as_its_text() -> None:
    console = Console(file=io.StringIO(), width=11)
    console.print(Records(["a", "b"], [(Text("1234", style="yellow"), "12345")]))
    output = console.file
    assert isinstance(output, io.StringIO)
    assert len(output.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("", "-"), ("2026-11-29T23:52:30.041Z", "13 s"), ("2026-11-29T23:54:22.534Z", "2 min 05 s")],
)
def test_a_duration_is_in_minutes_and_seconds(ended: str, expected: str) -> None:
    assert duration("2026-11-29T23:52:17.534Z", ended) == expected


def test_a_time_is_in_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert local_time("2026-11-29T23:52:17.534Z") == "2026-11-30 08:52:17 JST"
    finally:
        monkeypatch.undo()
        time.tzset()
