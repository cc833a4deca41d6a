"""English in words: the rules in the order in which they apply, because a date contains numbers."""

from __future__ import annotations

import re

from service.text.english import abbreviations, addresses, amounts, dates, money, numbers, roman, signs, units
from service.text.rules import apply

_NUMERIC = (*dates.RULES, *money.RULES, *units.RULES, *amounts.RULES)
_DIGIT = re.compile(r"\d")


def speak(text: str) -> str:
    """Return a folded line of text with numbers, abbreviations and signs in words."""
    text = apply((*addresses.RULES, *abbreviations.RULES), text)
    has_numbers = _DIGIT.search(text)
    if has_numbers:
        text = apply(_NUMERIC, text)
    text = apply(roman.RULES, text)
    if has_numbers:
        text = apply(numbers.RULES, text)
    return apply(signs.RULES, text)
