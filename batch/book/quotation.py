"""Separate speech from narration by quotation marks alone. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

DOUBLE = {"“": "”", '"': '"', "「": "」", "『": "』", "„": "“", "«": "»"}
_SINGLE = {"‘": "’", "'": "'"}
_LETTER = re.compile(r"\w")
_STOPS = tuple(",.!?…—–-;:，。！？；：~～")


class Marks(Enum):
    """Quotation marks of a book's speech. Single marks are apostrophes, unless the book has no double ones."""

    DOUBLE = "double"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a paragraph from `start` to `end`, marks included. `closed`: the closing mark exists."""

    start: int
    end: int
    quoted: bool
    closed: bool = True


def marks(text: str) -> Marks:
    """Return the kind of quotation marks of a book."""
    if any(mark in text for mark in DOUBLE):
        return Marks.DOUBLE
    single = re.search(r"(?m)(?:^|[\s—])[‘'](?=\w)[^‘’'\n]{1,400}[,.!?…—][’'](?=\s|$)", text)
    return Marks.SINGLE if single else Marks.DOUBLE


def spans(text: str, style: Marks) -> list[Span]:
    """Return the parts of a paragraph in order, quoted and not; nested marks belong to the outer part."""
    found: list[Span] = []
    at = start = 0
    while at < len(text):
        close = _closing(text, at, style)
        if not close:
            at += 1
            continue
        if at > start:
            found.append(Span(start, at, quoted=False))
        end = _end(text, at, close)
        found.append(Span(at, end or len(text), quoted=True, closed=bool(end)))
        at = start = end or len(text)
    if start < len(text):
        found.append(Span(start, len(text), quoted=False))
    return found


def _closing(text: str, at: int, style: Marks) -> str:
    """Return the closing mark for a mark that opens at `at`; empty if none opens there."""
    mark = text[at]
    if style is Marks.DOUBLE:
        # Five feet ten is 5'10": that mark opens nothing.
        return "" if mark == '"' and text[at - 1 : at].isdigit() else DOUBLE.get(mark, "")
    opens = (not at or not _LETTER.match(text[at - 1])) and _LETTER.match(text[at + 1 : at + 2])
    return _SINGLE.get(mark, "") if opens else ""


def _end(text: str, opened: int, close: str) -> int | None:
    """Return the end of the quotation, after its closing mark; None without one."""
    depth = 0
    for at in range(opened + 1, len(text)):
        if text[at] == text[opened] != close:
            depth += 1
        elif text[at] == close and (close not in "’'" or _closes(text, at)):
            if not depth:
                return at + 1
            depth -= 1
    return None


def _closes(text: str, at: int) -> bool:
    """Return whether a single mark closes a quotation; otherwise it is an apostrophe."""
    return text[at - 1] in _STOPS and not _LETTER.match(text[at + 1 : at + 2])


def is_speech(text: str, span: Span) -> bool:
    """Return whether a quotation is speech, not a scare quote: a whole sentence, or introduced by a colon or comma."""
    inner = text[span.start + 1 : span.end - 1 if span.closed else span.end].strip()
    alone = not text[: span.start].strip() and not text[span.end :].strip()
    introduced = text[: span.start].rstrip().endswith((",", ":", "，", "："))
    return alone or introduced or not span.closed or inner.endswith(_STOPS)
