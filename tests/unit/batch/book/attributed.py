"""What a book's speech is attributed to, as pairs that tests compare."""

from __future__ import annotations

from collections.abc import Sequence

from batch.book.attribution import Attribution, Certainty
from batch.book.characters import Character
from batch.book.paragraphs import clean, paragraphs
from batch.book.quotation import style


def attributed(text: str, cast: Sequence[Character]) -> list[tuple[str, str]]:
    """Return (speaker, text) pairs: a name, ?name for a guess, ? for an unknown speaker, "" for the narrator."""
    book = [paragraph.text for paragraph in paragraphs(clean(text))]
    attribution = Attribution(cast, style(book))
    found = []
    for paragraph in book:
        for part in attribution.paragraph(paragraph):
            speaker = part.speaker
            name = "" if not speaker or speaker.character is None else cast[speaker.character].name
            doubt = "" if not speaker or speaker.certainty is Certainty.STATED else "?"
            if any(map(str.isalnum, part.text)):
                found.append((doubt + name, part.text))
    return found


def speech(text: str, cast: Sequence[Character]) -> list[tuple[str, str]]:
    """Return the pairs of the speech alone."""
    return [(speaker, words) for speaker, words in attributed(text, cast) if speaker]
