"""Split a tidy line into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from service.sentence import Sentence
from service.text.alphabets import is_chinese

ELLIPSIS = 0.4
"""Seconds of silence of an ellipsis between sentences."""

SHORT, SHORT_CHINESE = 8, 4
"""A sentence with fewer letters is merged with its neighbour: alone it would sound cut off."""

_LONGEST_MERGED = 200
_STOP = re.compile(r"[.!?…]+[\"')]*(?=\s|$)|[。！？…]+[”’\"》]*")
_ENDED = re.compile(r"[.!?。！？…][\"'”’》)]*$")
_SAID = re.compile(
    r"\s(?:[A-Z][\w.'-]{0,20}\s){1,3}(?:said|says|asked|cried|replied|answered|shouted|whispered|exclaimed|called|muttered|"
    r"added|demanded|murmured|yelled|snapped|inquired|went on)\b"
)
_INNER_ELLIPSIS = re.compile(r"…(?=[^…]*\w)")
_ORDINALS = ("cs", "da", "de", "et", "fi", "hr", "hu", "is", "lb", "lv", "nb", "nn", "no", "pl", "sk", "sl", "tr")
_ORDINAL = re.compile(r"(?:^|\s)\d{1,2}\.$")
_ABBREVIATED = re.compile(
    r"(?:^|[\s\"'(.])(?:[^\W\d_]|Dr|Prof|Sr|Sra|Srta|Mme|Mlle|Mgr|St|Ste|Nr|Str|Hr|Fr|Frau|bzw|ca|usw|vgl|evtl|inkl|"
    r"Abb|Bd|Kap|pag|cap|fig|art|núm|tel|Tel|av|Av|bd|env|etc|ing|Ing|dott|Dott|sig|Sig|Mr|Mrs|Ms)\.$"
)


def split(text: str, language: str) -> list[str]:
    """Return the sentences of a line; each ends with the mark that it has."""
    return [part for part in (part.strip() for part in _parts(text, language)) if part]


def _parts(text: str, language: str) -> Iterator[str]:
    start = 0
    for stop in _STOP.finditer(text):
        if _ends(text, start, stop, language):
            yield text[start : stop.end()]
            start = stop.end()
    yield text[start:]


def _ends(text: str, start: int, stop: re.Match[str], language: str) -> bool:
    if stop[0][-1] in "\"'" and _SAID.match(text, stop.end()):
        return False
    following = text[stop.end() : stop.end() + 3].lstrip(" \"'")
    if following[:1].islower() or following[:1] in ("，", ","):
        return False
    before = text[max(start, stop.start() - 12) : stop.start() + 1]
    if stop[0] != "." or language == "en":
        return True
    return not (_ABBREVIATED.search(before) or (language in _ORDINALS and _ORDINAL.search(before)))


def finish(text: str, language: str, *, ends: bool) -> Sentence:
    """Return a sentence with a mark at its end; an ellipsis is a pause."""
    pause_s = ELLIPSIS if "…" in text[-3:] else 0.0
    text = _INNER_ELLIPSIS.sub(",", text)
    stop, comma, keep = ("。", "，", "”’》") if language == "zh" and any(map(is_chinese, text)) else (".", ",", "\"'")
    if pause_s:
        text = text.replace("…", stop)
    elif not _ENDED.search(text):
        tail = text[len(text.rstrip(keep)) :]
        text = text.rstrip(keep).rstrip(" ,;:，；：、-") + (stop if ends else comma) + tail
    return Sentence(text, pause_s)


def merged(sentences: Iterable[Sentence], language: str) -> list[Sentence]:
    """Merge each very short sentence of a line with the next, and a short last one with the one before it."""
    found: list[Sentence] = []
    short = SHORT_CHINESE if language == "zh" else SHORT
    for sentence in sentences:
        previous = found[-1] if found else None
        if previous and _fit(previous.text, sentence.text, short):
            found[-1] = _joined(previous, sentence)
        else:
            found.append(sentence)
    return found


def _fit(first: str, second: str, short: int) -> bool:
    return len(first) + len(second) < _LONGEST_MERGED and min(_letters(first), _letters(second)) < short


def _joined(first: Sentence, second: Sentence) -> Sentence:
    text = first.text
    if first.pause_s and text.endswith((".", "。")):  # the pause of an ellipsis becomes that of a comma
        text = text[:-1] + ("，" if text.endswith("。") else ",")
    return Sentence(join((text, second.text)), second.pause_s)


def join(texts: Iterable[str]) -> str:
    """Return sentences as one text, without spaces after Chinese marks."""
    return re.sub(r"(?<=[。！？，]) |(?<=[。！？，]\") ", "", " ".join(texts))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
