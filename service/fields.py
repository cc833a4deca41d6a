"""Helpers for the fields of requests, tasks and settings. Standard library only: clients import it too."""

from __future__ import annotations

import json
from difflib import get_close_matches

SEED = (0, 2**31 - 1)
"""Smallest and largest seed."""

_LONGEST_WORD = 100


def quote(value: object, limit: int = 60) -> str:
    """Quote a value in a message: JSON, ASCII, cut to `limit` characters. The effort does not grow with the value."""
    value = value[: limit + 1] if isinstance(value, str) else value
    text = ""
    for part in json.JSONEncoder(default=repr).iterencode(value):
        text += part
        if len(text) > limit:
            break
    return text if len(text) <= limit else f"{text[:limit]}..."


def nearest(word: str, known: list[str]) -> str:
    """Return ' Did you mean ...?' for a mistyped word, or ""."""
    match = get_close_matches(word, known, n=1) if len(word) <= _LONGEST_WORD else []
    return f" Did you mean {match[0]!r}?" if match else ""
