"""Fractions, powers, ratios and formulas in English words."""

from __future__ import annotations

from service.text.english.numbers import NUMBER, cardinal, decimal, ordinal
from service.text.english.units import UNITS, plural
from service.text.rules import Match, one_of, rule

_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_OF_FORMULAS = {"+": "plus", "-": "minus", "−": "minus", "*": "times", "×": "times", "x": "by", "÷": "divided by",
                "=": "equals", "<": "is less than", ">": "is greater than", "±": "plus or minus"}  # fmt: skip
_SPECIAL = {"24/7": "twenty-four seven", "9/11": "nine eleven"}


def _fraction(match: Match) -> str:
    whole, first, last = match[1], int(match[2]), int(match[3])
    if match[0] in _SPECIAL:
        return _SPECIAL[match[0]]
    if not 0 < first < last or last > 100:
        return f"{whole or ''} {cardinal(match[2])} over {cardinal(match[3])} "
    one, many = _PARTS.get(last) or (ordinal(str(last)), ordinal(str(last)) + "s")
    if whole and first == 1:
        return f"{cardinal(whole)} and {'an' if one[0] == 'e' else 'a'} {one}"
    parts = f"{cardinal(match[2])} {one if first == 1 else many}"
    return f"{cardinal(whole)} and {parts}" if whole else parts


def _power(match: Match) -> str:
    exponent = match[1]
    if exponent in ("2", "3"):
        return " squared" if exponent == "2" else " cubed"
    minus = "minus " if exponent.startswith("-") else ""
    return f" to the power of {minus}{cardinal(exponent.lstrip('+-') or '0')}"


def _operator(match: Match) -> str:
    return f" {_OF_FORMULAS[match[1]]} "


RULES = (
    rule(rf"(?<=[\w)])\s?([<>])\s?(?=-?{NUMBER})", _operator),
    rule(r"\bCO ?2\b", "C O two"),
    # a footnote's number after a word
    rule(r"(?<=[a-z]{3})\^\d{1,3}(?=[\s.,;:!?]|$)", ""),
    rule(r"(?<=[\w)])\^\s?([+-]?\d{1,6})", _power),
    rule(r"(?<![\w./,])(?:(\d{1,6})[ -])?(\d{1,4})/(\d{1,4})(?![\d/]|\.\d)", _fraction),
    rule(
        rf"(?<=\b)(and a half|half|thirds?|quarters?|eighths?)\s({one_of(UNITS)})\b",
        lambda match: f"{match[1]} {plural(UNITS[match[2]]) if match[1].startswith('and') else UNITS[match[2]]}",
    ),
    rule(rf"(?<=\d)\s([+*×÷=<>±x−-])\s(?=-?{NUMBER})", _operator),
    rule(rf"(?<=\d)([*×÷=<>±x])(?={NUMBER})", _operator),
    rule(rf"(?<=\d)\+(?={NUMBER}(?:[+*=]|\s=))", " plus "),
    rule(r"(?<=\d):(?=\d{1,3}(?!\d))", " to "),
    rule(rf"(?<![\w.,])({NUMBER})\s?[xX]\s?(?={NUMBER})", lambda match: f"{decimal(match[1])} by "),
    rule(r"(?<=\d)\+(?![\w])", " plus "),
)
