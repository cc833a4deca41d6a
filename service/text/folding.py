"""Fold characters to those that a voice can read, and note what has no reading."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

import emoji

from service.text import symbols
from service.text.alphabets import ALPHABETS

# A zero-width space marks the end of a word; inside a short one it is only a trace of some editor.
_WORD_BOUNDARY = re.compile(r"(?<=[^\W\d_]{3})\u200b(?=[^\W\d_]{3})")
_ODD = re.compile(r"[^\n -~]")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_FRACTION_SLASH = "\u2044"
_GREEK = re.compile(r"(?<![\u0370-\u03ff])[\u03b1-\u03c9\u0391-\u03a9](?![\u0370-\u03ff])")
_PERHAPS_EMOJI = re.compile(r"[\u2030-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001ffff]")
_GUILLEMETS = re.compile(r"[«‹]\s|\s[»›](?=[\s,.;:!?)]|$)")  # as the French set them
_KEPT = "()[]{}<>*_~^\\|—–（）「」『』【】〔〕〖〗〈〉～・"  # later stages read or drop them
_SPACES = re.compile(r"\s+")
_BEYOND_ASCII_SIGNS = re.compile("(?P<sign>[" + "".join(symbols.PICTURES) + r"])(?:\s*(?P=sign))*")
_EMOTICON = re.compile(r"(?:(?<=\s)|^)(?:[:;=8]'?-?[)(DPpO/|\]\[*]|<3|[xX]D|\^_\^)(?=\s|$|[.,!?])")


@dataclass
class Losses:
    """What a text lost: counts of dropped characters by kind, and the letters that the voice cannot speak."""

    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    unspeakable: dict[str, None] = field(default_factory=dict)

    def drop(self, kind: str, item: str) -> None:
        """Note one dropped item: an emoji, symbol, mark or element."""
        self.dropped.setdefault(kind, Counter())[item] += 1


def clean(text: str) -> str:
    """Return the text composed (NFC) without invisible characters; lines end in a line feed, spaces are spaces."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    text = _WORD_BOUNDARY.sub(" ", text)
    return _ODD.sub(lambda match: _visible(match[0]), text)


@functools.lru_cache(4096)
def _visible(char: str) -> str:
    if char in "\r\v\f\x85\u2028\u2029":
        return "\n"
    if char == "\t":
        return " "
    category = unicodedata.category(char)
    if category in ("Cf", "Cc", "Me") or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return ""
    return " " if category == "Zs" and char != "\u3000" else char


def fold(text: str, language: str, losses: Losses) -> str:
    """Return the text in characters that the later stages and a voice of `language` know, in one line."""
    chinese = language == "zh"
    text = _EMOTICON.sub(lambda found: _drop_emoji(found[0].strip(), losses), text)
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(
            lambda match: "^" + unicodedata.normalize("NFKC", match[0]).replace("\u2212", "-"), text
        )
        text = _words(text, chinese=chinese)
        text = _GUILLEMETS.sub('"', text)
        text = clean(text.translate(symbols.LOOK_ALIKES))  # entities may have brought back invisible characters
        if _PERHAPS_EMOJI.search(text):
            text = emoji.replace_emoji(text, lambda found, _: _drop_emoji(found, losses))
        if not chinese:
            text = text.translate(symbols.CHINESE_MARKS)
            text = _GREEK.sub(lambda match: f" {symbols.GREEK.get(match[0].lower(), match[0])} ", text)
        text = _ODD.sub(lambda match: _known(match[0], language, losses), text)
    else:
        text = text.translate(symbols.LOOK_ALIKES)
    return _SPACES.sub(" ", text).strip()


def _words(text: str, *, chinese: bool) -> str:
    """Replace signs that no engine reads by their words."""
    table = symbols.CHINESE_PICTURES if chinese else symbols.PICTURES
    return _BEYOND_ASCII_SIGNS.sub(lambda match: f" {table[match[0]]} " if match[0] in table else match[0], text)


def _drop_emoji(found: str, losses: Losses) -> str:
    losses.drop("emoji", found)
    return " "


def _known(char: str, language: str, losses: Losses) -> str:
    """Return a character as the alphabet of the language has it; "" for one that is dropped or cannot be spoken."""
    folded = _folded(char, language)
    if folded is not None:
        return folded
    if char.isalpha():
        losses.unspeakable[char] = None
    else:
        losses.drop("mark" if unicodedata.category(char).startswith("M") else "symbol", char)
    return ""


@functools.lru_cache(8192)
def _folded(char: str, language: str) -> str | None:
    known = ALPHABETS[language]
    if known(char) or char in _KEPT or char in "‰§¢₹₩₽₺₫₴₪₱₿":
        return char
    if char.isdigit():
        return str(unicodedata.digit(char))
    plain = unicodedata.normalize("NFKC", char)
    if _FRACTION_SLASH in plain:
        return " " + plain.replace(_FRACTION_SLASH, "/")
    plain = plain.translate(symbols.LOOK_ALIKES)
    if all(known(part) or part in _KEPT or part.isspace() for part in plain):
        return plain
    return None
