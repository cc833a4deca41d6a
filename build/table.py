"""Render records for any terminal width: a table if it fits, else a block of lines per record.

Times are in the local time zone; `--json` of every command prints UTC.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 2  # terminal columns between two columns of a table
_WRAPPED = 30  # minimum width of a column that wraps
_NOTHING = ("", "-")


@dataclass(frozen=True)
class Column:
    """One field of a record; `right` right-aligns numbers, `wraps` lets a long text take several lines."""

    heading: str
    right: bool = False
    wraps: bool = False


class Records:
    """Render records as a table, or as blocks when the terminal is narrower than the table.

    Cells are plain text or rich's Text; a string is never parsed as markup. A block omits cells that are empty or "-".
    """

    def __init__(self, columns: Iterable[Column | str], rows: Iterable[Sequence[str | Text]]) -> None:
        """
        Args:
            columns: one per cell of a row; a string is the heading of a left-aligned column.
        """
        self.columns = [Column(column) if isinstance(column, str) else column for column in columns]
        self.rows = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        if self._width() <= options.max_width:
            yield self._table()
            return
        for number, row in enumerate(self.rows):
            if number:
                yield Text()
            yield self._block(row)

    def _width(self) -> int:
        """Return the table's minimum width in terminal columns."""
        cells = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.columns)
        widest: list[int] = [
            min(
                max([len(column.heading), *(cell.cell_len for cell in below)]),
                _WRAPPED if column.wraps else sys.maxsize,
            )
            for column, below in zip(self.columns, cells, strict=True)
        ]
        return sum(widest) + _GAP * (len(widest) - 1)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for column in self.columns:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(column.heading, no_wrap=not column.wraps, overflow="fold", justify=justify)
        for row in self.rows:
            table.add_row(*row)
        return table

    def _block(self, row: Sequence[Text]) -> Table:
        block = Table.grid(padding=(0, _GAP, 0, 0))
        block.add_column(no_wrap=True, style="bold")
        block.add_column(overflow="fold")
        for column, cell in zip(self.columns, row, strict=True):
            if cell.plain not in _NOTHING:
                block.add_row(column.heading, cell)
        return block


def local_time(at: str) -> str:
    """Format an ISO 8601 time with zone in the local time zone: `2026-11-29 23:52:17 UTC`."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def duration(began: str, ended: str) -> str:
    """Format the time between two ISO 8601 times: `13 s`, `2 min 05 s`; "-" while `ended` is empty."""
    if not ended:
        return "-"
    minutes, seconds = divmod(
        round((datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()), 60
    )
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
