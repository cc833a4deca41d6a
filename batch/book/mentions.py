"""Find mentions in narration: characters, pronouns, and names that are not in the characters file. Pure functions."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from batch.book.characters import Character, Gender
from batch.book.names import TITLES, Names

_PRONOUNS: dict[str, Gender] = {"he": "male", "she": "female", "他": "male", "她": "female"}
_PRONOUN = re.compile(
    r"(?<![\w'’])(?:he|she)(?![\w'’])|(?<!其)[他她](?![们們爸妈爹娘父母哥弟姐妹妻丈媳儿女叔舅姨姑爷奶二大三])",
    re.IGNORECASE,
)
_TITLE = "|".join(sorted(TITLES, key=len, reverse=True))
_STRANGER = re.compile(
    rf"(?:\b(?i:{_TITLE}|dr|prof|capt|col|gen|lt|maj|sgt|rev|st)\b\.?\s+)?(?<![\w'’])[A-Z][\w’'-]*\w(?:\s+[A-Z][\w’'-]*\w)*"
    r"|\bI\b|我(?![们們])|\b(?i:they|we)\b|他们|她们|他們|她們|我们|我們"
)
_STARTERS = """
    The A An And But Or So Then When While As At In On For From With After Before If It This That These Those There
    Here His Her Their My Our Your Its Now Once Suddenly Finally Still Yet Not No Yes What Who Why How Where He She
    Looking Turning Smiling Without Even Only Just Again Later Chapter One Two Each Both All Some Every
"""
_NOT_NAMES = frozenset(_STARTERS.split())


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention: of a `character` (its number in the file), a pronoun's `gender`, or neither: an unknown person."""

    start: int
    end: int
    text: str
    character: int | None = None
    gender: Gender | None = None


class Finder:
    """Finds mentions of the characters of one file."""

    def __init__(self, characters: Sequence[Character]) -> None:
        self._names = Names(characters)
        pronouns = {name.lower(): number for number, person in enumerate(characters) for name in person.names}
        self._special = {word: pronouns[word] for word in (*_PRONOUNS, "我") if word in pronouns}
        self._named = functools.lru_cache(maxsize=512)(self._find)
        self.known = functools.lru_cache(maxsize=512)(self._known)
        self.all = functools.lru_cache(maxsize=512)(self._all)

    def _known(self, text: str) -> tuple[Mention, ...]:
        """Return the characters and pronouns in a text, in order, without possessives such as Anna's brother."""
        return tuple(mention for mention, possessive in self._named(text) if not possessive)

    def owners(self, text: str) -> list[Mention]:
        """Return the characters of which a text names a possession, in order: Anna's voice."""
        return [mention for mention, possessive in self._named(text) if possessive]

    def _find(self, text: str) -> list[tuple[Mention, bool]]:
        names = [
            (
                Mention(name.start, name.end, text[name.start : name.end], name.character),
                name.possessive or (text.startswith("的", name.end) and not text.startswith("的确", name.end)),
            )
            for name in self._names.find(text)
        ]
        taken = [name for name, _ in names]
        for match in _PRONOUN.finditer(text):
            mention = Mention(match.start(), match.end(), match.group(), gender=_PRONOUNS[match.group().lower()])
            if not any(_overlap(mention, name) for name in taken):
                names.append((mention, text.startswith("的", match.end())))
        return sorted(names, key=lambda found: found[0].start)

    def _all(self, text: str) -> tuple[Mention, ...]:
        """Return `known`, and names that are not in the file."""
        taken = [mention for mention, _ in self._named(text)]
        found = list(self.known(text))
        for match in _STRANGER.finditer(text):
            word, start = match.group(), match.start()
            first, _, rest = word.partition(" ")
            if first in _NOT_NAMES:
                start, word = start + len(first) + 1, rest
            mention = Mention(start, match.end(), word.strip())
            if (
                word.strip()
                and not word.endswith(("'s", "’s"))
                and not any(_overlap(mention, other) for other in taken)
            ):
                found.append(mention)
        return tuple(sorted(found, key=lambda mention: mention.start))


def _overlap(one: Mention, other: Mention) -> bool:
    return one.start < other.end and other.start < one.end
