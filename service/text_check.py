"""Check which text a voice can read; the error names the problem. Pure functions."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import NoReturn

from service.errors import InvalidError

# Beyond ASCII: typographic quotes, dashes, currency, and the signs of ordinary English text.
_SIGNS = frozenset("‘’‚‛“”„«»‹›‐‑‒–—―…•·¡¿§©®™°±×÷†‡′″ªº²³¹¼½¾€£¥¢₹₩₽₺₪₫₱₦₴₿¤¬µ№\u00a0\u2009\u202f\u2002\u2003")
_CHINESE_SIGNS = frozenset("\u3000、。〈〉《》「」『』【】〇〔〕〖〗～￥")
_MAX_LISTED = 5


def _latin(char: str) -> bool:
    """Accept Latin letters with any accents, ASCII digits, common punctuation and currency signs."""
    if char.isascii():
        return char.isprintable() or char in "\n\r\t"
    if char in _SIGNS:
        return True
    return unicodedata.name(char, "").startswith(("LATIN SMALL", "LATIN CAPITAL", "COMBINING"))


def _chinese(char: str) -> bool:
    """Accept Chinese characters and their punctuation (also full-width forms), and everything Latin."""
    if _latin(char):
        return True
    if unicodedata.name(char, "").startswith("CJK UNIFIED IDEOGRAPH"):
        return char <= "\uffff"  # no model's vocabulary has rarer ones
    return char in _CHINESE_SIGNS or "\uff01" <= char <= "\uff5e"


# Languages in Latin letters for which piper has voices.
_LATIN = (
    "ca", "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr", "hu", "is", "it", "lb", "lt", "lv", "nb", "nl",
    "nn", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tr", "vi",
)  # fmt: skip

ALPHABETS: dict[str, Callable[[str], bool]] = {**dict.fromkeys(_LATIN, _latin), "zh": _chinese}
"""Per language (ISO 639-1): returns whether a voice of this language can read the character."""


def name_character(char: str) -> str:
    """Return a character as U+0041 LATIN CAPITAL LETTER A; for one without a name its category."""
    kind = {"Cc": "control character", "Cs": "lone surrogate", "Co": "private use"}
    fallback = kind.get(unicodedata.category(char), "unassigned")
    return f"U+{ord(char):04X} {unicodedata.name(char, fallback)}"


def check_text(text: str, language: str, max_chars: int, param: str) -> str:
    """Return `text` normalized (NFC) and stripped; raise InvalidError if a voice of `language` cannot read it."""

    def refuse(problem: str, code: str) -> NoReturn:
        raise InvalidError(f"{param} {problem}", code=code, param=param)

    if len(text) > max_chars:
        refuse(f"has {len(text)} characters, at most {max_chars} are allowed", "text_too_long")
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        refuse("is empty", "empty_text")
    unreadable = list(dict.fromkeys(char for char in text if not ALPHABETS[language](char)))
    if unreadable:
        named = ", ".join(map(name_character, unreadable[:_MAX_LISTED]))
        more = f" and {len(unreadable) - _MAX_LISTED} more" if len(unreadable) > _MAX_LISTED else ""
        refuse(f"has characters that a voice of language {language!r} cannot speak: {named}{more}", "unspeakable_text")
    if not any(char.isalnum() for char in text):
        refuse("has no letter or digit", "empty_text")
    return text
