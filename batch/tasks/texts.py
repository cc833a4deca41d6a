"""Check the texts of tasks as the service will read them, so that a batch knows before it runs."""

from __future__ import annotations

import re
from collections import Counter

# Such a text needs no closer look: letters, and no sign of markup.
_PLAIN = re.compile(r"[\w\s.,;:!?'\"()-]*[A-Za-z][\w\s.,;:!?'\"()-]*", re.ASCII)


def check(text: str, lost: Counter[str]) -> str | None:
    """Return why no voice can speak a text, or None; count in `lost`, by kind, what the service will leave out.

    Only the service knows the language of a voice: a text with Chinese characters is checked for Chinese voices, any
    other text for English ones.
    """
    if _PLAIN.fullmatch(text):
        return None
    from service.text.alphabets import is_chinese  # noqa: PLC0415 - the front end takes 0.3 s to import
    from service.text.reading import TextError, read  # noqa: PLC0415

    try:
        reading = read(text, "zh" if any(map(is_chinese, text)) else "en")
    except TextError as error:
        return str(error)
    lost.update(reading.dropped)
    return None


def describe(lost: Counter[str]) -> str:
    """Return what the service will leave out, such as "2 emoji, 1 symbol"."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(lost.items()))
