"""The entry of the front end: a client's text becomes sentences that a voice can speak, or a clear refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service.sentence import Sentence
from service.text import chinese, english, folding, markup, punctuation, sentences, symbols
from service.text.alphabets import ALPHABETS, is_chinese, name_character
from service.text.folding import Losses

MAX_SILENCE_S = 30.0
"""All pauses of one text together, in seconds."""

_MAX_LISTED = 5
_DOT_PAUSE = 0.3
_MERGED_BLOCK = 4  # letters below which a whole block is merged with its neighbour
_SHOUTED = re.compile(r"\b[A-Z]{2,}\b")
_LONG_WORD = re.compile(r"[A-Z]{5}")


class TextError(ValueError):
    """A text that a voice cannot speak; `code` is the error code of the API."""

    def __init__(self, problem: str, code: str) -> None:
        super().__init__(problem)
        self.code = code


@dataclass(frozen=True)
class Reading:
    """How a text is spoken. `dropped` counts the characters that were left out, by kind; `names` lists some."""

    sentences: tuple[Sentence, ...]
    dropped: dict[str, int]
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """All sentences in one line."""
        return sentences.join(sentence.text for sentence in self.sentences)


def read(
    text: str, language: str, *, max_chars: int = 1_000_000, normalizes: bool = False, strict: bool = False
) -> Reading:
    """Return how a voice of `language` speaks a text.

    `normalizes`: the engine reads numbers, dates and abbreviations itself. `strict`: refuse instead of leaving
    characters out.

    Raises:
        TextError: the text is too long, nothing of it remains, or it has letters that the voice cannot speak.
    """
    if len(text) > max_chars:
        raise TextError(f"has {len(text)} characters, at most {max_chars} are allowed", "text_too_long")
    if not text.strip():
        raise TextError("is empty", "empty_text")
    losses = Losses()
    spoken: list[Sentence] = []
    for segment in markup.segments(folding.clean(text), losses):
        line = _line(segment.text, language, losses, normalizes=normalizes)
        _add(spoken, line, segment, language)
    names = tuple(_names(losses))
    _check(spoken, losses, names, language, strict=strict)
    counts = {kind: counter.total() for kind, counter in losses.dropped.items()}
    return Reading(tuple(_bounded(spoken)), counts, names)


def _line(text: str, language: str, losses: Losses, *, normalizes: bool) -> str:
    """Return a segment in tidy words of the alphabet."""
    line = folding.fold(text, language, losses)
    in_chinese = language == "zh" and (any(map(is_chinese, line)) or not any(map(str.isalpha, line)))
    if not normalizes and in_chinese:
        line = chinese.speak(line)
    elif not normalizes and language in ("en", "zh"):
        line = english.speak(line)
    line = punctuation.tidy_chinese(line) if in_chinese else punctuation.tidy(line.translate(symbols.CHINESE_MARKS))
    return _filtered(line, language, losses)


def _filtered(line: str, language: str, losses: Losses) -> str:
    """Drop what is left outside the alphabet."""
    known = ALPHABETS[language]
    foreign = {char for char in set(line) if not known(char) and char != "…"}
    for char in filter(foreign.__contains__, line):
        losses.drop("symbol", char)
    return line.translate(dict.fromkeys(map(ord, foreign))).strip()


def _add(spoken: list[Sentence], line: str, segment: markup.Segment, language: str) -> None:
    """Append the sentences of a line; one without letters is only a pause."""
    parts = [part for part in sentences.split(line, language) if any(map(str.isalnum, part))]
    if not parts:
        if spoken:
            spoken[-1] = Sentence(spoken[-1].text, spoken[-1].pause_s + (segment.pause_s or _DOT_PAUSE))
        return
    if language == "en":
        parts = list(map(_calm, parts))
    found = [sentences.finish(part, language, ends=True) for part in parts[:-1]]
    found = sentences.merged([*found, sentences.finish(parts[-1], language, ends=segment.ends)], language)
    found[-1] = Sentence(found[-1].text, max(found[-1].pause_s, segment.pause_s))
    spoken += found


def _calm(sentence: str) -> str:
    """Return a sentence that is all in capitals as an ordinary one, so that IT is no acronym."""
    words = _SHOUTED.findall(sentence)
    if len(words) < 2 or any(map(str.islower, sentence)) or not any(map(_LONG_WORD.match, words)):
        return sentence
    return sentence.capitalize()


def _check(spoken: list[Sentence], losses: Losses, names: tuple[str, ...], language: str, *, strict: bool) -> None:
    if losses.unspeakable:
        named = _listed([name_character(char) for char in losses.unspeakable])
        problem = f"has characters that a voice of language {language!r} cannot speak: {named}"
        raise TextError(problem, "unspeakable_text")
    if strict and names:
        raise TextError(f"has characters that cannot be spoken: {_listed(list(names))}", "unspeakable_text")
    if not spoken:
        raise TextError("has no letter or digit", "empty_text")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


def _names(losses: Losses) -> Iterator[str]:
    """Name each dropped item once."""
    for kind, items in losses.dropped.items():
        for item in items:
            yield f"<{item}>" if kind == "markup" else name_character(item[0])


def _bounded(spoken: list[Sentence]) -> Iterator[Sentence]:
    """Yield the sentences with all pauses together within the bound."""
    left = MAX_SILENCE_S
    for sentence in spoken:
        pause_s = min(left, sentence.pause_s)
        left -= pause_s
        yield Sentence(sentence.text, round(pause_s, 3))


def describe(reading: Reading) -> str:
    """Return what was left out in ASCII for a header: "emoji 2, symbol 1: U+1F389 PARTY POPPER"; "" for nothing."""
    if not reading.dropped:
        return ""
    counts = ", ".join(f"{kind} {count}" for kind, count in reading.dropped.items())
    return f"{counts}: {_listed(list(reading.names))}"
