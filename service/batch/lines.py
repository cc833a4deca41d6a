"""A text file line by line, with a bound on how much of a line is ever in memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from service.batch.errors import TasksError

MAX_LINE = 256 * 1024
"""Bytes. The longest text that a service takes, every character escaped, is a fifth of that."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def numbered(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Each line that is not blank, with its number from 1; None for one that has more than MAX_LINE bytes.

    Raises:
        TasksError: the file cannot be read, or is UTF-16.
    """
    try:
        with path.open("rb") as file:
            yield from _numbered(path, file)
    except OSError as error:
        remedy = "name a file of tasks, one JSON object a line"
        raise TasksError(f"{path} cannot be read: {error.strerror}", remedy) from None


def _numbered(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            if line.startswith(_UTF16):
                raise TasksError(f"{path} is UTF-16", f"convert it: iconv -f UTF-16 -t UTF-8 {path.name}")
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, None
        elif not line.isspace():
            yield number, line
