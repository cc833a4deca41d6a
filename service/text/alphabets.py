"""The characters that a voice of each language can read."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable

# Signs beyond letters and digits that may remain in a sentence. An engine reads those of _READ in its own language.
MARKS = frozenset(" .,;:!?'\"-")
_READ = frozenset("%&+=@#$€£¥°×÷±/")
_CHINESE_MARKS = frozenset("，。、；：？！“”‘’《》〇…")


@functools.lru_cache(4096)
def is_latin(char: str) -> bool:
    """Return whether the character is a Latin letter with any accents, and no ligature or styled form of others."""
    plain = unicodedata.normalize("NFKC", char) == char
    return plain and char.isalpha() and unicodedata.name(char, "").startswith("LATIN ")


def is_chinese(char: str) -> bool:
    """Return whether the character is Chinese and in the vocabulary of models, which ends at U+FFFF."""
    return "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" or char == "〇"


def _latin(char: str) -> bool:
    return char in MARKS or char in _READ or (char.isascii() and char.isdigit()) or is_latin(char)


def _chinese(char: str) -> bool:
    return is_chinese(char) or char in _CHINESE_MARKS or _latin(char)


# Languages in Latin letters for which piper has voices.
_LATIN = (
    "ca", "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr", "hu", "is", "it", "lb", "lt", "lv", "nb", "nl",
    "nn", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tr", "vi",
)  # fmt: skip

ALPHABETS: dict[str, Callable[[str], bool]] = {**dict.fromkeys(_LATIN, _latin), "zh": _chinese}
"""Per language (ISO 639-1): returns whether a sentence for a voice of this language may have the character."""


def name_character(char: str) -> str:
    """Return a character as U+0041 LATIN CAPITAL LETTER A; for one without a name its category."""
    kind = {"Cc": "control character", "Cs": "lone surrogate", "Co": "private use"}
    fallback = kind.get(unicodedata.category(char), "unassigned")
    return f"U+{ord(char):04X} {unicodedata.name(char, fallback)}"
