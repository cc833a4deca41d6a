"""Speech without quotation marks: after a dash, or after the speaker's name. Pure functions."""

from __future__ import annotations

import re

from batch.book.names import CJK, masked
from batch.book.span import Span
from batch.book.verbs import ENGLISH

_START = re.compile(r"\s*(?:[—–―]|--?(?=\s|[A-Z¿¡]))\s*")
_INNER = re.compile(
    r"(?<=[^\s])\s+[—–―]\s?(?=[^\W\d_])"  # narration: Hola —dijo Ana; Привет, — сказал он
    r"|[—–―](?=[.,;:!?])[.,;:!?]*\s*|\s[—–―]\s|[—–―]\s"
)
_WHO = r"(?:[A-Z][\w'’.-]*(?:\s+[A-Z][\w'’.-]*)*|he|she|I|we|they|the\s+\w+)"
_SAID = re.compile(
    rf"(?<=[,!?.…])\s+(?:{ENGLISH.pattern}\s+{_WHO}|{_WHO}\s+(?:\w+ly\s+)?{ENGLISH.pattern})\b[^.!?…]*(?:[.!?…]+|$)"
)
_NAME = rf"(?:[A-ZÀ-Þ][A-ZÀ-Þ'’. -]*[A-ZÀ-Þ.]|[A-ZÀ-Þ][\w'’-]+(?:\s+[A-ZÀ-Þ][\w'’-]*){{0,2}}|[{CJK}]{{2,4}})"
_SCRIPT = re.compile(rf"\s*(?P<name>{_NAME})\s*(?:[(（][^)）]*[)）]\s*)?[:：]\s*(?P<text>[^\s“\"‘「『].*)$", re.DOTALL)
_HEADING = r"(?:CHAPTER|BOOK|PART|ACT|SCENE|VOLUME|LETTER)\b"
_CAPITALS = re.compile(rf"\s*(?!{_HEADING})(?P<name>[A-ZÀ-Þ][A-ZÀ-Þ'’ -]+[A-ZÀ-Þ])\.\s+(?P<text>\S.*)$", re.DOTALL)


def script(text: str) -> list[Span]:
    """Return the parts of a line such as `NAME: text`; none for another paragraph."""
    match = _SCRIPT.match(text) or _CAPITALS.match(text)
    if not match:
        return []
    start = match.start("text")
    return [Span(0, start, quoted=False), Span(start, len(text), quoted=True, name=match.group("name"), marks=(0, 0))]


def dashes(text: str) -> list[Span]:
    """Return the parts of a paragraph that begins with a dash; none for another paragraph."""
    opening = _START.match(text)
    if not opening:
        return []
    if said := _SAID.search(masked(text), opening.end()):
        found = [_speech(0, said.start(), opening.end()), Span(said.start(), said.end(), quoted=False)]
        return found + ([_speech(said.end(), len(text), 0)] if text[said.end() :].strip() else [])
    return _alternating(text, opening.end())


def _alternating(text: str, lead: int) -> list[Span]:
    """Return speech and narration, which dashes separate in turns: —Hola —dijo Ana—. Buenos días."""
    found, start, quoted = [], 0, True
    for match in _INNER.finditer(text, lead):
        stopped = text[: match.start()].rstrip()[-1:] in ",.!?…"
        glued = not match.group()[-1:].isspace() and match.group()[:1].isspace()
        if quoted and not (glued or (stopped and text[match.end() : match.end() + 1].islower())):
            continue
        found.append(_speech(start, match.start(), lead) if quoted else Span(start, match.start(), quoted=False))
        start, lead, quoted = match.start(), match.end() - match.start(), not quoted
    if start < len(text):
        found.append(_speech(start, len(text), lead) if quoted else Span(start, len(text), quoted=False))
    return found


def _speech(start: int, end: int, lead: int) -> Span:
    return Span(start, end, quoted=True, marks=(lead, 0))
