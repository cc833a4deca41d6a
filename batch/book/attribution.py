"""Attribute quotations to speakers, with the certainty of each. Pure functions over paragraphs in order."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from batch.book import subjects
from batch.book.characters import Character
from batch.book.mentions import Finder, Mention
from batch.book.quotation import Style, is_speech, spans
from batch.book.span import Span
from batch.book.subjects import Subject

_NEAR = 4  # paragraphs back in which a pronoun's character is searched
_COLONS = (":", "：")
_VOCATIVE_BEFORE = re.compile(
    r"(?:^|[,.!?;—–-]|\b(?:oh|ah|well|yes|no|dear|my dear|my|you|hello|good morning))\s*$", re.IGNORECASE
)
_VOICE = re.compile(r"['’]s\s+(?:\w+\s+){0,2}(?:voice|answer|reply|retort|question|comment|response)")
_VOCATIVE_AFTER = re.compile(r"\s*(?:[,.!?;—–-]|$)")


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

    def guessed(self, reason: str) -> Speaker:
        """Return the speaker as a guess, if it is a character."""
        if self.character is None or self.certainty is not Certainty.STATED:
            return self
        return replace(self, certainty=Certainty.GUESSED, reason=reason)


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a paragraph; `speaker` None is the narrator. `closed`: the closing mark exists."""

    start: int
    end: int
    text: str
    speaker: Speaker | None = None
    closed: bool = True


class Attribution:
    """Processes a book paragraph by paragraph and remembers the characters present."""

    def __init__(self, characters: Sequence[Character], style: Style) -> None:
        self._characters = characters
        self._style = style
        self._finder = Finder(characters)
        self._narrators = frozenset(number for number, who in enumerate(characters) if {"I", "我"} & {*who.names})
        self._present: deque[set[int]] = deque([set()], maxlen=_NEAR + 1)
        self._named: set[int] = set()  # subjects in the paragraph, with no pronoun for them before
        self._pronouns: set[str] = set()
        self._recent_speakers: list[int | None] = []  # one for each of the last paragraphs that are only speech
        self._carried: Speaker | None = None  # quotation that the previous paragraph left open
        self._announced: Speaker | None = None  # `Anna said:` at the end of the previous paragraph

    def paragraph(self, text: str) -> list[Part]:
        """Return the parts of the paragraph, speech without quotation marks."""
        self._present.append(set())
        self._named, self._pronouns = set(), set()
        found = _without_scare_quotes(text, spans(text, self._style))
        speakers: dict[int, Speaker] = {}
        for number, span in enumerate(found):
            if not span.quoted:
                self._note_mentions(text[span.start : span.end])
            elif speaker := self._stated(text, found, number):
                speakers[number] = speaker
                if speaker.certainty is Certainty.STATED and speaker.character is not None:
                    self._mark_present(speaker.character)
                    self._named.add(speaker.character)
        self._fill(text, found, speakers)
        self._remember(text, found, speakers)
        return [_part(text, span, speakers.get(number)) for number, span in enumerate(found)]

    def _note_mentions(self, narration: str) -> None:
        for mention in self._finder.known(narration):
            self._mark_present(mention.character)
            if mention.gender:
                self._pronouns.add(mention.gender)
            elif mention.character is not None and not subjects.is_object(narration, mention):
                gender = self._characters[mention.character].gender
                self._named |= {mention.character} if gender not in self._pronouns else set()

    def _mark_present(self, character: int | None) -> None:
        if character is not None:
            self._present[-1].add(character)

    def _stated(self, text: str, found: list[Span], number: int) -> Speaker | None:
        """Return the speaker that the narration directly before or after a quotation names."""
        span = found[number]
        if span.name:
            known = self._finder.known(span.name)
            return self._resolve(known[0] if known else Mention(0, 0, span.name))
        addressed = self._addressed(_inner(text, span))
        if speaker := self._introduced(_narration(text, found, number - 1), addressed):
            return speaker
        stopped = _inner(text, span).rstrip("_ ").endswith(".")
        if subject := subjects.after(_narration(text, found, number + 1), self._finder, stopped=stopped):
            return self._speaker(subject, addressed)
        return None

    def _introduced(self, narration: str, addressed: frozenset[int | None] = frozenset()) -> Speaker | None:
        """Return the speaker of the quotation after a narration, if the narration introduces one."""
        subject = subjects.before(narration, self._finder)
        if subject and subjects.introduces(narration):
            return self._speaker(subject, addressed)
        if narration.rstrip().endswith(_COLONS):
            before = subjects.last_sentence(narration)
            if named := [*self._finder.known(before), *self._finder.owners(before)]:
                return self._resolve(named[0]).guessed("named before it")
        return None

    def _speaker(self, subject: Subject, addressed: frozenset[int | None] = frozenset()) -> Speaker:
        speaker = self._resolve(subject.mention, subject.objects | addressed)
        return speaker if subject.sure else speaker.guessed("others are named beside it")

    def _resolve(self, mention: Mention, others: frozenset[int | None] = frozenset()) -> Speaker:
        """Return the speaker of a mention; a pronoun means none of the `others`."""
        if mention.character is not None:
            return Speaker(Certainty.STATED, mention.character)
        if mention.gender is None:
            owners = self._finder.owners(mention.text) if mention.text.endswith("voice") else []
            if owners and owners[0].character is not None:
                return Speaker(Certainty.GUESSED, owners[0].character, reason=mention.text)
            return Speaker(Certainty.UNKNOWN, label=mention.text, reason="not in the characters file")
        # Search the paragraph itself first, then all recent ones together: among those, the last speaker is seldom the
        # next.
        others |= self._narrators
        here = self._present[-1] - others
        for near in (here, set().union(*self._present) - others):
            fits = [number for number in sorted(near) if self._characters[number].gender in (mention.gender, None)]
            if len(fits) == 1 and self._characters[fits[0]].gender:
                speaker = Speaker(Certainty.STATED, fits[0])
                return speaker if fits[0] in self._named else speaker.guessed(f"{mention.text} may be another person")
            if fits:
                break
        names = " or ".join(self._characters[number].name for number in fits)
        reason = f"{mention.text} may be {names}" if names else f"{mention.text} fits no character nearby"
        return Speaker(Certainty.UNKNOWN, label=mention.text, reason=reason)

    def _addressed(self, speech: str) -> frozenset[int | None]:
        """Return the characters whom a quotation speaks to: "Nora, it is open." """
        return frozenset(
            mention.character
            for mention in self._finder.known(speech)
            if _VOCATIVE_BEFORE.search(speech, 0, mention.start) and _VOCATIVE_AFTER.match(speech, mention.end)
        )

    def _fill(self, text: str, found: list[Span], speakers: dict[int, Speaker]) -> None:
        """Add speakers to quotations without a named one: usually the other speaker of the paragraph."""
        quoted = [number for number, span in enumerate(found) if span.quoted]
        if self._carried and quoted[:1] == [0]:
            speakers.setdefault(0, self._carried)
        for number in quoted:
            if number not in speakers:
                speakers[number] = self._inherited(text, found, number, speakers) or self._guess(text, found)
                self._mark_present(speakers[number].character)

    def _inherited(self, text: str, found: list[Span], number: int, speakers: dict[int, Speaker]) -> Speaker | None:
        """Return the speaker of the quotation before or after one in the paragraph: a guess if others act beside it."""
        earlier = [other for other in speakers if other < number]
        later = [other for other in speakers if other > number]
        if not earlier and not later:
            return None
        source = max(earlier) if earlier else min(later)
        between = found[source + 1 : number] if earlier else found[:number]
        narration = "".join(text[span.start : span.end] for span in between if not span.quoted)
        if earlier:  # its first sentence is about the speaker: said Anna, and looked at Bob
            narration = narration.removeprefix(subjects.first_sentence(narration))
        speaker = speakers[source]
        beside = {mention.character for mention in self._finder.known(narration)} - {None, speaker.character}
        return speaker.guessed("others are named beside it") if beside else speaker

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
        mentions += [
            owner for text in narrations for owner in self._finder.owners(text) if _VOICE.match(text, owner.end)
        ]
        first = [known[0] for text in narrations if (known := self._finder.known(text)) and not known[0].start]
        if first:
            return self._resolve(first[0]).character
        named = {mention.character for mention in mentions} - {None}
        return named.pop() if len(named) == 1 else None

    def _remember(self, text: str, found: list[Span], speakers: dict[int, Speaker]) -> None:
        """Remember the context for the next paragraph."""
        last = found[-1] if found else Span(0, 0, quoted=False)
        self._carried = speakers[len(found) - 1] if last.quoted and not last.closed else None
        narration = "" if last.quoted else text[last.start : last.end]
        self._announced = self._introduced(narration)
        if not speakers and not self._announced and (subject := subjects.before(narration, self._finder)):
            self._announced = self._speaker(subject).guessed("named before it")
        if speakers:
            self._recent_speakers.append(speakers[max(speakers)].character)
        else:
            self._recent_speakers.clear()


def _without_scare_quotes(text: str, found: list[Span]) -> list[Span]:
    """Merge scare quotes into the narration around them."""
    merged: list[Span] = []
    for span in found:
        spoken = span.quoted and is_speech(text, span)
        if not spoken and merged and not merged[-1].quoted:
            merged[-1] = Span(merged[-1].start, span.end, quoted=False)
        else:
            merged.append(span if spoken else Span(span.start, span.end, quoted=False))
    return merged


def _narration(text: str, found: list[Span], number: int) -> str:
    if 0 <= number < len(found) and not found[number].quoted:
        return text[found[number].start : found[number].end]
    return ""


def _inner(text: str, span: Span) -> str:
    return text[span.start + span.lead : span.end - span.trail].strip()


def _part(text: str, span: Span, speaker: Speaker | None) -> Part:
    return Part(span.start, span.end, _inner(text, span), speaker, span.closed)
