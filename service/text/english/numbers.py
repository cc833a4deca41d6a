"""Numbers in English words, in the American way without "and"."""

from __future__ import annotations

import functools
import re

from num2words import num2words  # type: ignore[import-untyped]

from service.text.rules import Match, rule

START = r"(?<![\w.,])"
"""Before a number: no letter, digit, point or comma."""

WHOLE = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)"
NUMBER = rf"(?:{WHOLE}(?:\.\d++)?|\.\d++)"
"""A number with thousands separators and decimals."""

_LONGEST = 12  # more digits are a number of a card or an account
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spell(digits: str) -> str:
    """Return each digit as a word."""
    return " ".join(_DIGITS[int(digit)] for digit in digits)


@functools.lru_cache(4096)
def cardinal(digits: str) -> str:
    """Return a whole number in words; one with leading zeros or very many digits, digit by digit."""
    digits = digits.replace(",", "")
    if len(digits) > _LONGEST + 3 or (len(digits) > 1 and digits.startswith("0")):
        return spell(digits)
    return str(num2words(int(digits))).replace(",", "").replace(" and ", " ")


@functools.lru_cache(4096)
def ordinal(digits: str) -> str:
    """Return an ordinal in words, such as "twenty-first"."""
    digits = digits.replace(",", "")
    if len(digits) > _LONGEST:
        return spell(digits)
    return str(num2words(int(digits), to="ordinal")).replace(",", "").replace(" and ", " ")


def decimal(number: str) -> str:
    """Return a number with or without decimals in words."""
    whole, point, fraction = number.partition(".")
    if not point:
        return cardinal(whole)
    return f"{cardinal(whole) + ' ' if whole else ''}point {spell(fraction)}"


@functools.lru_cache(4096)
def year(digits: str) -> str:
    """Return a year of four digits as it is said: "nineteen oh five", "twenty ten"."""
    century, rest = int(digits[:2]), int(digits[2:])
    if digits[1:3] == "00" or century < 10:
        return cardinal(digits)
    if rest == 0:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {'oh ' if rest < 10 else ''}{cardinal(str(rest))}"


def is_one(number: str) -> bool:
    """Return whether a noun after the number is in the singular."""
    return number in ("1", "1.0", "1.00")


_NOT_NOUNS = r"(?!(?:was|is|has|as|its|this|his|us|does)\b)"


def _range(match: Match) -> str:
    first, last = match[1], match[2]
    if all(len(part) == 4 and part[0] in "12" for part in (first, last)):
        return f"{year(first)} to {year(last)}"
    if len(first) == 4 and first[0] in "12" and len(last) == 2 and int(last) > int(first[2:]):
        return f"{year(first)} to {cardinal(last)}"
    if len(first) > 2 and _value(first) >= _value(last):  # a model such as 747-400
        return f"{decimal(first)} {decimal(last)}"
    return f"{decimal(first)} to {decimal(last)}"


def _power_of_ten(match: Match) -> str:
    minus = "minus " if match[2] == "-" else ""
    return f"{decimal(match[1])} times ten to the {minus}{cardinal(match[3])}"


def _value(number: str) -> float:
    return float(number.replace(",", ""))


RULES = (
    rule(
        r"\b((?:zip|postal)(?: code)?|code|PIN)(?: is|:)? (\d{4,10})(?![\d,.]\d)",
        lambda match: f"{match[0][: -len(match[2])]}{spell(match[2])}",
        re.IGNORECASE,
    ),
    rule(rf"{START}({WHOLE})(?:st|nd|rd|th)\b", lambda match: ordinal(match[1])),
    rule(rf"{START}({NUMBER})\s?[–~-]\s?({NUMBER})(?![\w-])", _range),
    # 2000 to 2009 and round centuries sound the same either way, others are years before all but a noun in the plural
    rule(
        rf"{START}(1[1-9]\d\d|20\d\d)(?!\d|[.,]\d|\s(?:{_NOT_NOUNS}[a-z]+s|percent|people|men|women|children)\b)",
        lambda match: year(match[1]),
    ),
    rule(r"\b(in|year|of|since|by|AD) (10\d\d)\b(?![.,]\d)", lambda match: f"{match[1]} {year(match[2])}"),
    rule(rf"{START}({NUMBER})[eE]([+-]?)(\d{{1,3}})\b", _power_of_ten),
    rule(r"(?<=[A-Za-z])[-']?(?=\d)", " "),
    rule(r"(?<=\d)(?=[A-Za-z])", " "),
    rule(rf"(?:(?<=^)|(?<=[\s(\"]))-(?={NUMBER})", "minus "),
    rule(r"(?<!\d)\d{13,}+", lambda match: spell(match[0])),
    rule(rf"(?<![\d.]){NUMBER}", lambda match: f" {decimal(match[0])} "),
    rule(r"\d", lambda match: f" {_DIGITS[int(match[0])]} "),
)
