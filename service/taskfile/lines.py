"""Read a text file line by line with bounded memory."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_LINE = 256 * 1024
"""Bytes. The longest text that a service accepts, with every character escaped, is a fifth of that."""

# UTF-32's mark begins with UTF-16's, so it comes first. Without a mark, the zeros beside JSON's first character show
# the encoding.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_ZEROS: dict[tuple[int, ...], str] = {
    (1, 0, 0, 0): "UTF-32LE",
    (0, 0, 0, 1): "UTF-32BE",
    (1, 0, 1, 0): "UTF-16LE",
    (0, 1, 0, 1): "UTF-16BE",
}


class TaskFileError(Exception):
    """The task file cannot be read; `remedy` states what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def numbered(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line that is not blank with its number from 1; None for a line of more than MAX_LINE bytes.

    Raises:
        TaskFileError: the file cannot be read twice, or is UTF-16 or UTF-32.
    """
    remedy = "choose a task file with one JSON object per line"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TaskFileError(f"{path} is not a regular file", remedy)
        with path.open("rb") as file:
            yield from _numbered(path, file)
    except OSError as error:
        raise TaskFileError(f"cannot read {path}: {error.strerror}", remedy) from None


def _numbered(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            if encoding := other_encoding(line):
                raise TaskFileError(f"{path} is {encoding}", f"convert it: iconv -f {encoding} -t UTF-8 {path.name}")
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
            yield number, None
        elif not line.isspace():
            yield number, line


def other_encoding(head: bytes) -> str:
    """Return the encoding of a file whose first bytes cannot be UTF-8, by its iconv name; "" otherwise."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    return _ZEROS.get(tuple(int(byte != 0) for byte in head[:4]), "")
