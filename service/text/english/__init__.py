"""English in words: the rules in the order in which they apply, because a date contains numbers."""

from __future__ import annotations

from service.text.english import abbreviations, addresses, amounts, dates, money, numbers, roman, signs, units
from service.text.rules import apply

RULES = (
    *addresses.RULES,
    *abbreviations.RULES,
    *dates.RULES,
    *money.RULES,
    *units.RULES,
    *amounts.RULES,
    *roman.RULES,
    *numbers.RULES,
    *signs.RULES,
)


def speak(text: str) -> str:
    """Return a folded line of text with numbers, abbreviations and signs in words."""
    return apply(RULES, text)
