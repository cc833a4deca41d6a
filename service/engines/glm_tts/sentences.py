"""Split a text for streaming, so that playback starts before the whole text is synthesized. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

from service.engine import Sentence

SHORT = 12
"""A sentence with fewer letters is merged with its neighbour: alone it would sound cut off."""

LONG = 50.0
"""Length, in upstream's measure, above which a sentence is split.

Upstream itself splits at 60, but fails on texts whose words mostly have more than one or two syllables (an IndexError
in `split_hard`). So no piece may reach that limit.
"""

_CHINESE = 3  # letters that one Chinese character counts for: it is a syllable
_SENTENCE = re.compile(r"[^.!?。！？]*[.!?。！？]+\s*|[^.!?。！？]+")
_BREAKS = ("；;：:", "，,、", " ")


def stretches(text: str) -> list[str]:
    """Split a text into pieces for one inference each: a sentence, part of a long one, or several very short ones."""
    parts = [part.strip() for sentence in sentences(text) for part in _cut(sentence)]
    return [part for part in parts if part]


def paused(given: Iterable[Sentence]) -> list[Sentence]:
    """Return the pieces of given sentences; the silence after a sentence follows its last piece.

    A very short sentence is merged with its neighbour.
    """
    merged: list[Sentence] = []
    for sentence in given:
        if merged and min(_letters(merged[-1].text), _letters(sentence.text)) < SHORT:
            merged[-1] = Sentence(f"{merged[-1].text} {sentence.text}", sentence.pause_s)
        else:
            merged.append(sentence)
    return [piece for sentence in merged for piece in _pieces(sentence)]


def _pieces(sentence: Sentence) -> list[Sentence]:
    found = [Sentence(part) for part in stretches(sentence.text)]
    return [*found[:-1], *(Sentence(last.text, sentence.pause_s) for last in found[-1:])]


def sentences(text: str) -> list[str]:
    """Split a text at the ends of sentences; joined, the pieces are the text."""
    found: list[str] = []
    for part in _SENTENCE.findall(text):
        if found and _letters(found[-1]) < SHORT:
            found[-1] += part
        else:
            found.append(part)
    if len(found) > 1 and _letters(found[-1]) < SHORT:
        last = found.pop()
        found[-1] += last
    return found


def units(text: str) -> list[float]:
    """Return the maximum that each character adds to upstream's measure of length.

    Upstream counts 1 for a Chinese character or a sign, and 0.7 for a syllable of an English word. A word of n letters
    has at most (n + 1) / 2 syllables.
    """
    added, before = [], " "
    for char in text:
        letter = char.isalpha() and not _is_chinese(char)
        starts = not (before.isalpha() and not _is_chinese(before))
        added.append(0.0 if char.isspace() else (0.7 if starts else 0.35) if letter else 1.0)
        before = char
    return added


def _cut(text: str) -> Iterator[str]:
    """Yield pieces of at most LONG, split at the strongest break in each piece's last half."""
    while True:
        fits = sum(total <= LONG for total in accumulate(units(text)))
        if fits == len(text):
            break
        ends = (max(text.rfind(mark, fits // 2, fits) for mark in marks) + 1 for marks in _BREAKS)
        cut = next((end for end in ends if end), fits)
        yield text[:cut]
        text = text[cut:]
    yield text


def _letters(text: str) -> int:
    return sum(_CHINESE if _is_chinese(char) else 1 for char in text if char.isalnum())


def _is_chinese(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"
