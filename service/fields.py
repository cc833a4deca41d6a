"""What requests, tasks and settings have in common in their fields. Standard library only: clients read it, too."""

from __future__ import annotations

import json
from difflib import get_close_matches

SEED = (0, 2**31 - 1)
"""The least and the largest seed."""


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: JSON, ASCII, cut to `limit` characters."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def nearest(word: str, known: list[str]) -> str:
    """' Did you mean ...?' for a mistyped word, or nothing."""
    match = get_close_matches(word, known, n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
