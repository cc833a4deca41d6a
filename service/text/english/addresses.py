"""Addresses and names with dots: URLs, e-mail, files, versions, phone numbers."""

from __future__ import annotations

import re

from service.text.english.numbers import cardinal, spell
from service.text.rules import Match, rule

_LONG_PATH = 40
_MARKS = {".": " dot ", "/": " slash ", "-": " dash ", "_": " underscore ", "@": " at ", ":": " colon ", "+": " plus "}
_DIGITS = re.compile(r"\d+")
_TRAILING = ".,;:!?'\")*_"


def _spoken(address: str) -> str:
    text = "".join(_MARKS.get(char, char if char.isalnum() else " ") for char in address)
    return _DIGITS.sub(lambda match: cardinal(match[0]) if len(match[0]) < 5 else spell(match[0]), text)


def _url(match: Match) -> str:
    address = match[0].rstrip(_TRAILING)
    rest = match[0][len(address) :]
    name, _, path = address.partition("://")[2].partition("?")[0].partition("#")[0].partition("/")
    if not name:
        name, _, path = address.partition("?")[0].partition("#")[0].partition("/")
    name, path = name.rpartition("@")[2].removeprefix("www."), path.rstrip("/")
    shown = name if not path or len(path) > _LONG_PATH else f"{name}/{path}"
    return f" {_spoken(shown)}{rest}"


def _email(match: Match) -> str:
    return f" {_spoken(match[0])}"


def _dotted(match: Match) -> str:
    return f"{match[1]} dot {match[2]}"


def _version(match: Match) -> str:
    parts = match[2].split(".")
    return f"{'version ' if match[1] else ''}{' point '.join(map(cardinal, parts))}"


def _phone(match: Match) -> str:
    groups = [spell(group) for group in _DIGITS.findall(match[0])]
    return f"{'plus ' if match[0].startswith('+') else ''}{', '.join(groups)}"


_HOST = r"(?:[A-Za-z0-9-]{1,63}\.){1,8}"
_TOP = r"(?:com|org|net|io|gov|edu|dev|app|ai|info|co|uk|de|fr|eu|us|ca|cn|jp|me|tv|be)"

RULES = (
    rule(r"(?<!\d)~\s?(?=[$£€]?\d)", "about "),
    rule(r"\bmailto:", ""),
    rule(r"(?<!\w)(?:https?|ftp)://[^\s<>\"]{1,2000}", _url, re.IGNORECASE),
    rule(r"(?<![\w.@+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b", _email),
    rule(rf"(?<![\w.@-])(?:www\.)?{_HOST}{_TOP}(?:/[^\s<>\"]{{0,2000}}|\b(?![.]?\w))", _url, re.IGNORECASE),
    rule(r"(?<![\w@])@(?=\w)", " at "),
    rule(r"(?<![\w#&])#\s?(?=\d)", " number "),
    rule(r"(?<![\w#&])#(?=[A-Za-z])", " hashtag "),
    # phone numbers: +1 (555) 010-9999, 555-010-9999, 555-0199, +49 30 1234567
    rule(r"(?<![\w.+-])\+?(?:\d{1,3}[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])", _phone),
    rule(r"(?<![\w.+-])\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6}(?![\w-])", _phone),
    rule(r"(?<![\w.,/$-])[2-9]\d{2}-\d{4}(?![\w-])", _phone),
    rule(r"(?<![\w.])([vV]\.?\s?)?(\d{1,5}(?:\.\d{1,5}){2,5})(?![\w])", _version),
    rule(r"\b([vV])(\d{1,3}(?:\.\d{1,5})?)\b", _version),
    rule(r"(?<![\w.-])\d{1,7}(?:-\d{1,7}){3,6}(?![\w-])", _phone),
    rule(r"(?<!\S)\.(?=[A-Z]{2})", "dot "),
    rule(r"\bC\+\+", "C plus plus"),
    rule(r"(?<=[A-Za-z0-9_])\.(?=(?:[a-z]{2,}|js|mp3|mp4)\b)", " dot "),
)
