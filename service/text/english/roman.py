"""Roman numerals in English words: of parts of a work, of rulers, of names."""

from __future__ import annotations

import re

from service.text.english.numbers import cardinal, ordinal
from service.text.rules import Match, one_of, rule

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_NUMERAL = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_PARTS = (
    "Chapter", "CHAPTER", "chapter", "Part", "PART", "part", "Book", "BOOK", "Act", "ACT", "Scene", "SCENE", "Volume",
    "Vol", "volume", "Section", "section", "Article", "Appendix", "Canto", "Psalm", "Title", "Phase", "Stage", "Type",
    "Class", "Level", "Episode", "Figure", "figure", "Table", "Plate", "Schedule", "War", "Bowl", "Mark", "Group",
    "Grade", "Unit", "Step", "Category", "Factor", "Vatican", "Apollo", "Letter", "Lesson", "Verse",
)  # fmt: skip
_RULERS = (
    "Henry", "Louis", "Charles", "James", "George", "Edward", "William", "Richard", "Elizabeth", "Mary", "Philip",
    "Frederick", "Catherine", "Nicholas", "Alexander", "Ivan", "Peter", "Napoleon", "Wilhelm", "Leopold", "Francis",
    "Ferdinand", "Joseph", "Ptolemy", "Cleopatra", "Darius", "Xerxes", "Ramses", "Ramesses", "Gustav", "Christian",
    "Carl", "Haakon", "Olav", "Otto", "Pius", "Paul", "John", "Benedict", "Leo", "Gregory", "Clement", "Innocent",
    "Urban", "Boniface", "Sixtus", "Julius", "Robert", "David", "Margrethe", "Christina", "Victor",
    "Umberto", "Amadeus", "Augustus", "Constantine", "Basil", "Alfonso", "Juan", "Rudolf", "Maximilian", "Albert",
    "Baudouin", "Stephen", "Ramon",
)  # fmt: skip
_NUMERALS = r"([IVXLCDM]{1,9})"


def value(numeral: str) -> int:
    """Return the value of a Roman numeral; 0 for other letters."""
    if not _NUMERAL.fullmatch(numeral):
        return 0
    values = [_VALUES[char] for char in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def _part(match: Match) -> str:
    number, part = value(match[2]), "Volume" if match[1] == "Vol" else match[1]
    return f"{part} {cardinal(str(number))}" if number else match[0]


def _ruler(match: Match) -> str:
    number = value(match[2])
    return f"{match[1]} the {ordinal(str(number)).title()}" if number else match[0]


def _name(match: Match) -> str:
    number = value(match[1])
    return cardinal(str(number)) if number else match[0]


RULES = (
    rule(r"\bWWI{1,2}\b", lambda match: f"World War {'one' if match[0] == 'WWI' else 'two'}"),
    rule(rf"\b({one_of(_PARTS)})\.?\s{_NUMERALS}\b(?!')", _part),
    rule(rf"\b({one_of(_RULERS)})\s([IVX]{{2,5}}|[IVX](?=[\s]*(?:[.,;:!?)\"]|'s|$|(?:of|and|was|had|is|died)\b)))\b",
         _ruler),
    rule(r"(?<=[A-Za-z] )([IVX]{2,5})\b(?!')", _name),
    rule(r"^([IVX]{2,5}(?![\w'])|[IVX](?=\.\s\w))", _name),
)  # fmt: skip
