"""Separate speech from narration by quotation marks alone, in the style of the book. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from batch.book import dialogue
from batch.book.span import Span
from batch.book.verbs import CHINESE, ENGLISH

_PAIRS = {"“": "”", '"': '"', "「": "」", "『": "』", "＂": "＂", "〝": "〞"}
_EITHER_WAY = (("«", "»"), ("‹", "›"))
_SINGLE = {"‘": "’", "'": "'"}
_STOPS = tuple(',.!?…—–-;:，。！？：；~～”"_')
_LETTER = re.compile(r"[^\W_]")
_ELISION = re.compile(
    r"(?:tis|twas|twere|twill|em|n|cause|bout|til|till|round|neath|ere|im|er|e|ave|ow|ome|ouse)\b", re.IGNORECASE
)
_BEFORE_SENTENCE = (*",.!?…—–-;:，。！？：；”’\"')]」』»）", "*")
_SAID_BEFORE = re.compile(rf"(?:{ENGLISH.pattern}|{CHINESE.pattern}|(?<!被)(?<!叫)[道：])\s*$", re.IGNORECASE)
_SAID_AFTER = re.compile(rf"[\s,;—–-]*(?:{ENGLISH.pattern}|[A-Z][\w.]*(?:\s+[A-Z]\w*)*\s+{ENGLISH.pattern})")
_SCRIPT_SHARE = 0.3  # of a play's characters; other books have lines such as `Note: ...`
_SENTENCE = 5  # spaces in a long quotation


class Kind(Enum):
    """What most speech of a book is set in."""

    DOUBLE = "double quotation marks"
    SINGLE = "single quotation marks"
    DASH = "dashes"
    SCRIPT = "lines such as `NAME: text`"


@dataclass(frozen=True, slots=True)
class Style:
    """Style of a book's speech: its kind, and the closing marks of each opening mark."""

    kind: Kind
    pairs: dict[str, str]


def style(paragraphs: Sequence[str]) -> Style:
    """Return the style in which most speech of a book is set."""
    pairs = _pairs(paragraphs)
    spoken = Counter({Kind.DOUBLE: 1})
    for text in paragraphs:
        for kind in (Kind.SINGLE, Kind.DASH, Kind.SCRIPT):
            for span in _speech(text, Style(kind, pairs)):
                marked = Kind.SINGLE if text[span.start] in _SINGLE else Kind.DOUBLE
                if kind is Kind.SINGLE or span.marks:
                    spoken[marked if kind is Kind.SINGLE else kind] += span.end - span.start
    if spoken[Kind.SCRIPT] < sum(map(len, paragraphs)) * _SCRIPT_SHARE:
        del spoken[Kind.SCRIPT]
    return Style(spoken.most_common(1)[0][0], pairs)


def missed(text: str, style: Style) -> Kind | None:
    """Return the kind of speech that a paragraph without speech in the book's style has; None without one."""
    if any(span.quoted for span in spans(text, style)):
        return None
    for kind in Kind:
        found = _speech(text, Style(kind, style.pairs)) if kind is not style.kind else []
        if any(kind is not Kind.SCRIPT or span.name.isupper() for span in found):
            return kind
    return None


def _speech(text: str, style: Style) -> list[Span]:
    return [span for span in spans(text, style) if span.quoted and span.closed and is_speech(text, span)]


def _pairs(paragraphs: Sequence[str]) -> dict[str, str]:
    """Return the marks of a book: languages use the same ones the other way round, or close with an opening one."""
    first = Counter(match.group() for text in paragraphs if (match := re.search("[“”„«»‹›]", text)))
    pairs = dict(_PAIRS)
    if first["„"]:
        pairs["„"] = "“”"
    if first["„"] > first["“"] or first["”"] > first["“"]:
        del pairs["“"]
    if first["”"] > first["“"]:
        pairs["”"] = "”"
    for left, right in _EITHER_WAY:
        opening, closing = (left, right) if first[left] >= first[right] else (right, left)
        pairs[opening] = closing
    return pairs


def spans(text: str, style: Style) -> list[Span]:
    """Return the parts of a paragraph in order, quoted and not; nested marks belong to the outer part."""
    if style.kind is Kind.DASH and (found := dialogue.dashes(text)):
        return found
    if style.kind is Kind.SCRIPT and (found := dialogue.script(text)):
        return found
    return list(_marked(text, style))


def _marked(text: str, style: Style) -> Iterator[Span]:
    marks = {**style.pairs, **_SINGLE} if style.kind is Kind.SINGLE else style.pairs
    opening = re.compile("[" + "".join(map(re.escape, marks)) + "]")
    start = at = 0
    while match := opening.search(text, at):
        at = match.end()
        if not _opens(text, match.start()):
            continue
        end = (
            _single_end(text, match.start())
            if match.group() in _SINGLE
            else _end(text, match.start(), marks[match.group()])
        )
        if end == at:
            continue
        if match.start() > start:
            yield Span(start, match.start(), quoted=False)
        closed = end > 0
        start = at = abs(end) or len(text)
        yield Span(match.start(), at, quoted=True, closed=closed)
    if start < len(text):
        yield Span(start, len(text), quoted=False)


def _opens(text: str, at: int) -> bool:
    """Return whether a mark opens a quotation: no inch mark, apostrophe or elision."""
    mark, before, after = text[at], text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if mark in _SINGLE:
        if (before and _LETTER.match(before)) or not after or after.isspace():
            return False
        return not (at and before != "'" and mark == "'" and _ELISION.match(text, at + 1))
    if mark == '"':
        return not before.isdigit()  # five feet ten is 5'10"
    return True


def _end(text: str, opened: int, closing: str) -> int:
    """Return the end of a quotation, after its closing mark: 0 without one, negative if it is missing before there."""
    depth, same, odd = 0, text[opened] == closing, text.count(text[opened], opened) % 2 == 1
    for at in range(opened + 1, len(text)):
        if text[at] in closing:
            if same and odd and at + 1 < len(text):
                if text[at - 1].isdigit() and text.find(closing, at + 1) > 0:
                    continue  # inches: another mark closes the quotation
                if text[at - 1].isspace() and _LETTER.match(text[at + 1]):
                    return -at
            if not depth:
                return at + 1
            depth -= 1
        elif text[at] == text[opened]:
            depth += 1
    return 0


def _single_end(text: str, opened: int) -> int:
    """Return the end of a quotation in single marks: 0 without one, the next position if the mark opens nothing."""
    mark = text[opened]
    close, fallback = _SINGLE[mark], 0
    for at in range(opened + 1, len(text)):
        if text[at] == close and not _LETTER.match(text[at + 1 : at + 2]) and at > opened + 1:
            if text[at - 1] in _STOPS:
                return at + 1
            fallback = fallback or at + 1
        elif text[at] == mark and text[at - 1].isspace() and fallback and not _ELISION.match(text, at + 1):
            return fallback
    whole = not text[:opened].strip() or text[:opened].rstrip().endswith((",", ":", "—", "–", "-"))
    return fallback or (0 if whole else opened + 1)


def is_speech(text: str, span: Span) -> bool:
    """Return whether a quotation is speech, not a scare quote: a sentence, or beside a verb of speech."""
    inner = text[span.start + span.lead : span.end - span.trail].strip()
    before, after = text[: span.start].rstrip(" _"), text[span.end :]
    if (
        not span.closed
        or span.marks
        or (not before.strip() and not after.strip())
        or before.endswith((",", ":", "，", "："))
    ):
        return True
    whole = inner.rstrip("_ ").endswith(_STOPS)
    long = inner[:1].isupper() and inner.count(" ") >= _SENTENCE
    if before and not before.endswith(_BEFORE_SENTENCE):
        return whole and (long or bool(_SAID_BEFORE.search(before)))
    return whole or long or after.startswith(",") or bool(_SAID_AFTER.match(after))
