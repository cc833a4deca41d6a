"""Names as readers match them: in capitals, with another apostrophe, with a rank, by surname or first name alone."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batch.book.characters import Character, Gender

_MEN = "mr master sir lord monsieur herr signor señor don father uncle brother king prince"
_WOMEN = "mrs miss ms lady madam madame mademoiselle frau signora mother aunt sister queen princess dame"
_RANKS = """
    doctor professor captain colonel general lieutenant major sergeant corporal admiral commodore reverend honourable
    saint inspector judge senator president count baron
"""
TITLES: dict[str, Gender | None] = {
    **dict.fromkeys(_MEN.split(), "male"),
    **dict.fromkeys(_WOMEN.split(), "female"),
    **dict.fromkeys(_RANKS.split()),
}
"""Titles and ranks in lower case, with the gender that they tell."""

_ABBREVIATED = """
    mister=mr m=monsieur mme=madame mlle=mademoiselle dr=doctor prof=professor capt=captain cap=captain col=colonel
    gen=general lt=lieutenant lieut=lieutenant maj=major sgt=sergeant sergt=sergeant cpl=corporal adm=admiral
    rev=reverend revd=reverend hon=honourable st=saint insp=inspector sen=senator
"""
_SHORT = dict(pair.split("=") for pair in _ABBREVIATED.split())
_STOPPED = "|".join(sorted({*_SHORT, "mr", "mrs", "ms", "messrs", "jr", "esq"}, key=len, reverse=True))
ABBREVIATIONS = re.compile(rf"\b(?:{_STOPPED}|[a-hj-z])\.(?=\s)", re.IGNORECASE)
"""Words that end with a full stop inside a sentence: titles and initials."""


def masked(text: str) -> str:
    """Return the text with other characters for the full stops of abbreviations, every offset kept."""
    return ABBREVIATIONS.sub(lambda match: match.group()[:-1] + "_", text)


CJK = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[^\W_{CJK}]+(?:[-'’][^\W_{CJK}]+)*")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_ARTICLES = ("the", "a", "an")
_OWNERS = ("my", "your", "his", "her", "our", "their")
_LINKS = frozenset(("of", "the", "and", "in", "on", "with", "at", "for", "to", "who", "that"))
_PARTICLES = frozenset(("de", "la", "le", "du", "des", "di", "da", "von", "van", "der", "den", "ten", "ter"))


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text; `possessive` as in Anna's."""

    start: int
    end: int
    character: int
    possessive: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    key: str

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()


@dataclass(frozen=True, slots=True)
class _Entry:
    words: tuple[str, ...]
    character: int
    capital: tuple[bool, ...]  # the words that need a capital letter
    surname: bool = False  # derived: another first name or title before it is another person


class Names:
    """The names of the characters of one file, given and derived."""

    def __init__(self, characters: Sequence[Character]) -> None:
        self._genders = [_gender(character) for character in characters]
        self._entries: dict[tuple[str, ...], list[_Entry]] = {}
        lengths: dict[str, set[int]] = {}
        for entry in _entries(characters, self._genders):
            self._entries.setdefault(entry.words, []).append(entry)
            lengths.setdefault(entry.words[0], set()).add(len(entry.words))
        self._lengths = {word: sorted(numbers, reverse=True) for word, numbers in lengths.items()}
        self._chinese = {
            fold(name): number
            for number, character in enumerate(characters)
            for name in character.names
            if re.search(f"[{CJK}]", name)
        }
        longest = sorted(self._chinese, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest)) or r"(?!)")

    def find(self, text: str) -> Iterator[Name]:
        """Yield the names in a text in order of kind: Latin ones first."""
        words = [
            _Word(match.start(), match.end(), match.group(), _key(match.group())) for match in _WORD.finditer(text)
        ]
        at = 0
        while at < len(words):
            entry = self._at(text, words, at)
            if entry:
                last = words[at + len(entry.words) - 1]
                owner = _POSSESSIVE.search(last.text)
                end = last.end - 2 if owner else last.end
                yield Name(words[at].start, end, entry.character, bool(owner) or text[end : end + 2] in ("' ", "’ "))
            at += len(entry.words) if entry else 1
        for match in self._pattern.finditer(text):
            yield Name(match.start(), match.end(), self._chinese[match.group()])

    def _at(self, text: str, words: list[_Word], at: int) -> _Entry | None:
        """Return the longest name that starts at a word."""
        for length in self._lengths.get(words[at].key, ()):
            for entry in self._entries.get(tuple(word.key for word in words[at : at + length]), ()):
                if self._fits(text, words, at, entry):
                    return entry
        return None

    def _fits(self, text: str, words: list[_Word], at: int, entry: _Entry) -> bool:
        found = words[at : at + len(entry.words)]
        if not all(word.capital or not capital for word, capital in zip(found, entry.capital, strict=True)):
            return False
        gaps = (text[one.end : other.start] for one, other in itertools.pairwise(found))
        if not all(
            gap.isspace()
            or (gap.startswith(".") and not gap[1:].strip() and (len(word.text) == 1 or word.key in TITLES))
            for gap, word in zip(gaps, found, strict=False)
        ):
            return False
        before = words[at - 1] if at and text[words[at - 1].end : words[at].start].strip(".") in ("", " ") else None
        return not before or not self._another(text, before, entry)

    def _another(self, text: str, before: _Word, entry: _Entry) -> bool:
        """Return whether the word before a name makes it another person's, as in Mrs. Reed or James Reed."""
        if not before.capital or _POSSESSIVE.search(before.text):
            return False
        if before.key in TITLES:
            gender, own = TITLES[before.key], self._genders[entry.character]
            return (entry.surname and not gender) or bool(gender and own and gender != own)
        sentence = not text[: before.start].rstrip() or text[: before.start].rstrip()[-1] in ".!?—–\"“‘'"
        return (
            entry.surname
            and not sentence
            and not before.text.isupper()
            and "." not in text[before.end : before.end + 1]
        )


def fold(text: str) -> str:
    """Return a text in Unicode's composed form, with one kind of apostrophe."""
    return re.sub("[’ʼ´`]", "'", unicodedata.normalize("NFC", text))


@functools.lru_cache(maxsize=65536)
def _key(word: str) -> str:
    word = fold(_POSSESSIVE.sub("", word)).casefold()
    return _SHORT.get(word, word)


def _gender(character: Character) -> Gender | None:
    """Return a character's gender, given or told by a title."""
    told = {TITLES.get(_key(name.split()[0].rstrip("."))) for name in character.names} - {None}
    return character.gender or (told.pop() if len(told) == 1 else None)


def _entries(characters: Sequence[Character], genders: Sequence[Gender | None]) -> Iterator[_Entry]:
    """Yield the given names, and the derived ones that fit a single character."""
    given: dict[tuple[str, ...], _Entry] = {}
    derived: dict[tuple[str, ...], dict[int, _Entry]] = {}
    for number, character in enumerate(characters):
        for name in character.names:
            words = _WORD.findall(fold(name))
            if not words:
                continue
            given[tuple(map(_key, words))] = _entry(words, number)
            for variant, surname in _variants(words, genders[number]):
                derived.setdefault(tuple(map(_key, variant)), {})[number] = _entry(variant, number, surname=surname)
    yield from given.values()
    for words_key, owners in derived.items():
        men = [entry for number, entry in owners.items() if genders[number] == "male"]
        women = sum(genders[number] == "female" for number in owners)
        if words_key not in given and len(owners) == 1:
            yield from owners.values()
        elif words_key not in given and len(men) == 1 and men[0].surname and women == len(owners) - 1:
            yield men[0]  # a surname alone is the man's: women of the family are Mrs. and Miss


def _entry(words: Sequence[str], number: int, *, surname: bool = False) -> _Entry:
    described = words[0].lower() in (*_ARTICLES, *_OWNERS)
    capital = tuple(word[0].isupper() and not described and word.lower() not in _PARTICLES for word in words)
    return _Entry(tuple(map(_key, words)), number, capital, surname)


def _variants(words: list[str], gender: Gender | None) -> Iterator[tuple[list[str], bool]]:
    """Yield the shorter names of a name, and whether each is a surname alone."""
    if words[0].lower() in _ARTICLES:
        if len(words) > 1 and words[1][0].isupper() and _key(words[1]) not in TITLES:
            yield words[1:], False
        yield from (([article, *words[1:]], False) for article in _ARTICLES)
        return
    titled = _key(words[0]) in TITLES
    plain = words[1:] if titled else words
    if not plain or any(word.lower() in _LINKS for word in plain) or not plain[0][0].isupper():
        return
    if titled and TITLES[_key(words[0])] == "female" and len(plain) == 1:
        return
    at = next((at for at, word in enumerate(plain) if at and word.lower() in _PARTICLES), len(plain) - 1)
    first, last = plain[:1], plain[at:]
    if at:
        yield from ((name, False) for name in [first] if len(first[0]) > 1)
        yield [*first, *last], False
        if titled:
            yield [words[0], *last], False
    yield last, True
    titles = {"male": ["Mr"], "female": ["Mrs", "Miss", "Ms"], None: []}[gender]
    if at or titled:
        yield from (([title, *last], False) for title in titles)
