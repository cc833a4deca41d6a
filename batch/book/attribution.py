"""Attribute quotations to speakers, with the certainty of each. Pure functions over paragraphs in order."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from batch.book.characters import Character
from batch.book.mentions import VERB, Finder, Mention
from batch.book.quotation import Marks, Span, is_speech, spans

_NEAR = 4  # paragraphs back in which a pronoun's character is searched
_SENTENCE = re.compile(r"(?:(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)\.(?!\w)|[!?;。！？；…])[”’\"'」』]*\s*")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_INTRODUCTIONS = (":", "：", ",", "，")


class Certainty(Enum):
    """How a speaker was found."""

    STATED = "stated"
    GUESSED = "guessed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Speaker of a quotation.

    Args:
        character: number in the characters file; None for a person who is not in it.
        label: the book's words for that person.
        reason: why the speaker is a guess or unknown.
    """

    certainty: Certainty
    character: int | None = None
    label: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a paragraph; `speaker` None is the narrator."""

    start: int
    end: int
    text: str
    speaker: Speaker | None = None


class Attribution:
    """Processes a book paragraph by paragraph and remembers the characters present."""

    def __init__(self, characters: Sequence[Character], style: Marks) -> None:
        self._characters = characters
        self._style = style
        self._finder = Finder(characters)
        self._present: deque[set[int]] = deque([set()], maxlen=_NEAR + 1)
        self._recent_speakers: list[int | None] = []  # one for each of the last paragraphs that are only speech
        self._carried: Speaker | None = None  # quotation that the previous paragraph left open
        self._announced: Speaker | None = None  # `Anna said:` at the end of the previous paragraph

    def paragraph(self, text: str) -> list[Part]:
        """Return the parts of the paragraph, speech without quotation marks."""
        self._present.append(set())
        found = _without_scare_quotes(text, spans(text, self._style))
        speakers: dict[int, Speaker] = {}
        for number, span in enumerate(found):
            if not span.quoted:
                self._note_mentions(text[span.start : span.end])
            elif speaker := self._stated(text, found, number):
                speakers[number] = speaker
                self._mark_present(speaker.character)
        self._fill(text, found, speakers)
        self._remember(text, found, speakers)
        return [_part(text, span, speakers.get(number)) for number, span in enumerate(found)]

    def _note_mentions(self, narration: str) -> None:
        for mention in self._finder.known(narration):
            self._mark_present(mention.character)

    def _mark_present(self, character: int | None) -> None:
        if character is not None:
            self._present[-1].add(character)

    def _stated(self, text: str, found: list[Span], number: int) -> Speaker | None:
        """Return the speaker that the narration directly before or after a quotation names."""
        span = found[number]
        before = _last_sentence(_narration(text, found, number - 1))
        after = _first_sentence(_narration(text, found, number + 1))
        if before.rstrip().endswith(_INTRODUCTIONS) and (subject := self._finder.subject(before, last=True)):
            return self._resolve(subject)
        if before.rstrip().endswith((":", "：")) and (named := self._finder.known(before)):
            speaker = self._resolve(named[0])
            known = speaker.character is not None
            return Speaker(Certainty.GUESSED, speaker.character, reason="named before it") if known else speaker
        if subject := self._finder.subject(after, last=False):
            # "Hello." Anna said nothing more. - the sentence after a full stop is about something else.
            stopped = text[span.start : span.end].rstrip("”’\"'」』").endswith(".") and not _CHINESE.search(after)
            speaker = self._resolve(subject)
            known = stopped and speaker.character is not None
            return Speaker(Certainty.GUESSED, speaker.character, reason="named after it") if known else speaker
        return None

    def _resolve(self, mention: Mention) -> Speaker:
        if mention.character is not None:
            return Speaker(Certainty.STATED, mention.character)
        if mention.gender is None:
            return Speaker(Certainty.UNKNOWN, label=mention.text, reason="not in the characters file")
        # Search the paragraph itself first, then all recent ones together: among those, the last speaker is seldom the
        # next.
        for near in (self._present[-1], set().union(*self._present)):
            fits = [number for number in sorted(near) if self._characters[number].gender in (mention.gender, None)]
            if len(fits) == 1 and self._characters[fits[0]].gender:
                return Speaker(Certainty.STATED, fits[0])
            if fits:
                break
        names = " or ".join(self._characters[number].name for number in fits)
        reason = f"{mention.text} may be {names}" if names else f"{mention.text} fits no character nearby"
        return Speaker(Certainty.UNKNOWN, label=mention.text, reason=reason)

    def _fill(self, text: str, found: list[Span], speakers: dict[int, Speaker]) -> None:
        """Add speakers to quotations without a named one: usually the other speaker of the paragraph."""
        quoted = [number for number, span in enumerate(found) if span.quoted]
        if self._carried and quoted[:1] == [0]:
            speakers.setdefault(0, self._carried)
        for number in quoted:
            if number not in speakers:
                earlier = [speakers[other] for other in quoted if other < number and other in speakers]
                later = [speakers[other] for other in quoted if other > number and other in speakers]
                speakers[number] = (earlier[-1:] or later[:1] or [self._guess(text, found)])[0]
                self._mark_present(speakers[number].character)

    def _guess(self, text: str, found: list[Span]) -> Speaker:
        """Guess the speaker of a paragraph that names none."""
        if self._announced:
            return self._announced
        narrations = [text[span.start : span.end].strip() for span in found if not span.quoted]
        if (beside := self._acting(narrations)) is not None:
            return Speaker(Certainty.GUESSED, beside, reason="named beside it")
        last = self._recent_speakers[-2:]
        if len(last) == len(set(last)) == 2 and last[0] is not None and not any(narrations):
            return Speaker(Certainty.GUESSED, last[0], reason="by turns")
        return Speaker(Certainty.UNKNOWN, reason="no name beside it")

    def _acting(self, narrations: list[str]) -> int | None:
        """Return the character who acts beside a quotation: a sentence starts with them, or only they are named."""
        mentions = [mention for text in narrations for mention in self._finder.known(text)]
        first = [known[0] for text in narrations if (known := self._finder.known(text)) and not known[0].start]
        if first:
            return self._resolve(first[0]).character
        named = {mention.character for mention in mentions} - {None}
        return named.pop() if len(named) == 1 else None

    def _remember(self, text: str, found: list[Span], speakers: dict[int, Speaker]) -> None:
        """Remember the context for the next paragraph."""
        last = found[-1] if found else Span(0, 0, quoted=False)
        self._carried = speakers[len(found) - 1] if last.quoted and not last.closed else None
        self._announced = None
        if not speakers:
            self._recent_speakers.clear()
            lead = _last_sentence(text) if text.rstrip().endswith((":", "：")) else ""
            if subject := self._finder.subject(lead, last=True):
                self._announced = self._resolve(subject)
            return
        self._recent_speakers.append(speakers[max(speakers)].character)


def _without_scare_quotes(text: str, found: list[Span]) -> list[Span]:
    """Merge scare quotes into the narration around them."""
    merged: list[Span] = []
    for span in found:
        spoken = span.quoted and is_speech(text, span)
        if not spoken and merged and not merged[-1].quoted:
            merged[-1] = Span(merged[-1].start, span.end, quoted=False)
        else:
            merged.append(Span(span.start, span.end, spoken, span.closed))
    return merged


def _narration(text: str, found: list[Span], number: int) -> str:
    if 0 <= number < len(found) and not found[number].quoted:
        return text[found[number].start : found[number].end]
    return ""


def _first_sentence(narration: str) -> str:
    match = _SENTENCE.search(narration)
    sentence = narration[: match.end()] if match else narration
    if not _CHINESE.search(sentence):
        return sentence
    # The speaker and the verb come before the first comma, unless the rest of the sentence has the verb. The
    # introduction of the next quotation has verbs of its own.
    clause = re.split("[，：]", sentence, maxsplit=1)[0]
    return clause if VERB.search(clause) or sentence.rstrip().endswith(_INTRODUCTIONS) else sentence


def _last_sentence(narration: str) -> str:
    ends = [match.end() for match in _SENTENCE.finditer(narration) if match.end() < len(narration.rstrip())]
    return narration[ends[-1] if ends else 0 :]


def _part(text: str, span: Span, speaker: Speaker | None) -> Part:
    if not span.quoted:
        return Part(span.start, span.end, text[span.start : span.end].strip())
    inner = text[span.start + 1 : span.end - 1 if span.closed else span.end]
    return Part(span.start, span.end, inner.strip(), speaker)
