"""Split a book's text into paragraphs, each with its line numbers. Pure functions."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_ENDS = tuple(".!?…:;。！？：；\"'”’」』）)*-—")
_INDENT = re.compile(r"\t| {2,}|\u3000")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_APOSTROPHES = str.maketrans("ʼ´＇", "’’'")
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Paragraph as one line of text, with the offsets where the book's own lines begin."""

    text: str
    starts: tuple[tuple[int, int], ...]

    def line(self, at: int) -> int:
        """Return the book's line number (from 1) of the character at `at`."""
        return max((number for start, number in self.starts if start <= at), default=self.starts[0][1])


def clean(text: str) -> str:
    """Return a book's text without invisible characters, in Unicode's composed form, every line kept."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).translate(_APOSTROPHES)


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Yield paragraphs, which end at empty lines and before indented ones; without wrapped lines, each line is one."""
    lines = text.splitlines()
    wrapped = _is_wrapped(lines)
    parts: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        bare = line.strip()
        if parts and (not bare or not wrapped or _INDENT.match(line)):
            yield _joined(parts)
            parts = []
        if bare:
            parts.append((number, bare))
    if parts:
        yield _joined(parts)


def _is_wrapped(lines: list[str]) -> bool:
    """Return whether most lines with a following line end in the middle of a sentence."""
    followed = [line.rstrip() for line, after in itertools.pairwise(lines) if line.strip() and after.strip()]
    return sum(not line.endswith(_ENDS) for line in followed) * 2 > len(followed)


def _joined(parts: list[tuple[int, str]]) -> Paragraph:
    text, starts = "", []
    for number, part in parts:
        if text and not (_CJK.match(text[-1]) and _CJK.match(part[0])):
            text += " "
        starts.append((len(text), number))
        text += part
    return Paragraph(text, tuple(starts))
