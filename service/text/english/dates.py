"""Dates, decades and times of day in English words."""

from __future__ import annotations

from service.text.english.numbers import START, cardinal, ordinal, year
from service.text.rules import Match, one_of, rule

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH = one_of(_MONTHS)
_HALF = r"(?:\s?(AM|PM|am|pm)\b)?"
_TENS = ("tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")


def _date(month: int, day: str, years: str | None) -> str:
    return f"{_MONTHS[month - 1]} {ordinal(str(int(day)))}{', ' + year(years) if years else ''}"


def _iso(match: Match) -> str:
    month, day = int(match[2]), int(match[3])
    return _date(month, match[3], match[1]) if 1 <= month <= 12 and 1 <= day <= 31 else match[0]


def _slashes(match: Match) -> str:
    """Read the month first, as Americans do, unless only the second number can be a month."""
    first, second = int(match[1]), int(match[2])
    month, day = (first, second) if first <= 12 else (second, first)
    return _date(month, str(day), match[3]) if 1 <= month <= 12 and 1 <= day <= 31 else match[0]


def _month_first(match: Match) -> str:
    last = f" to {ordinal(match[3])}" if match[3] else ""
    return f"{match[1]} {ordinal(match[2])}{last}{', ' + year(match[4]) if match[4] else ''}"


def _day_first(match: Match) -> str:
    return f"{ordinal(match[1])} of {match[2]}{' ' + year(match[3]) if match[3] else ''}"


def _decade(match: Match) -> str:
    century, ten = match[1], int(match[2])
    if ten == 0:
        return f"{year(century + '00')}s" if century else "two thousands"
    return f"{cardinal(century) + ' ' if century else ''}{_TENS[ten - 1]}"


def _time(match: Match) -> str:
    hour, minute, second, half = int(match[1]), int(match[2]), match[3], match[4]
    if hour > 24 or minute > 59:
        return f"{cardinal(str(hour))} to {cardinal(str(minute))}"
    after = f" {half.upper()}" if half else ""
    spoken = cardinal(str(hour))
    if minute:
        spoken += f" {'oh ' if minute < 10 else ''}{cardinal(str(minute))}"
    elif not after and not int(second or 0):
        spoken += " o'clock" if 0 < hour <= 12 else " hundred hours"
    if int(second or 0):
        spoken += f" and {cardinal(str(int(second)))} second{'' if int(second) == 1 else 's'}"
    return spoken + after


RULES = (
    rule(r"(?:(?<=:\d\d)|(?<=[AP]M))\s?[–-]\s?(?=\d{1,2}(?::\d\d|\s?[AP]M\b))", " to "),
    rule(r"(?<![\w.,:-])(\d{1,2})\s?[–-]\s?(?=\d{1,2}\s?[AP]M\b)", lambda match: f"{cardinal(match[1])} to "),
    rule(rf"{START}(\d{{4}})-(\d\d)-(\d\d)(?:(T)(?=\d\d:)|(?![\d-]))",
         lambda match: _iso(match) + (" at " if match[4] else " ")),
    rule(rf"{START}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}})(?![\d/])", _slashes),
    rule(rf"\b({_MONTH})\s(\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[–-]\s?(\d{{1,2}}))?(?:,?\s(\d{{4}})(?!\d))?(?![\d:])",
         _month_first),
    rule(rf"{START}(\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?({_MONTH})\b(?:,?\s(\d{{4}})(?!\d))?", _day_first),
    rule(rf"\b({_MONTH}),?\s(\d{{4}})(?!\d)", lambda match: f"{match[1]} {year(match[2])}"),
    rule(r"(?<![\w.,])(?:(1\d|20)|')(\d)0'?s\b", _decade),
    rule(r"(?<![\w.,])'(\d\d)\b(?![\d'])", lambda match: f" {cardinal(match[1])}"),
    rule(rf"{START}(\d{{1,2}}):(\d\d)(?::(\d\d)(?:\.\d{{1,9}})?)?(?:Z\b|[+-]\d\d:\d\d)?{_HALF}(?![\d:])", _time),
    rule(rf"{START}(\d{{1,2}})\s?(AM|PM)\b", lambda match: f"{cardinal(match[1])} {match[2]}"),
)  # fmt: skip
