"""Split texts that are too long for one request at natural pauses. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BREAKS = (
    re.compile(r"(?<=[.!?…])[”’\"')]*\s+|(?<=[。！？…])[”’」』）]*"),
    re.compile(r"(?<=[,;:])\s+|(?<=[，；：、])"),
    re.compile(r"\s+"),
)


def split(text: str, limit: int) -> Iterator[str]:
    """Yield parts of at most `limit` characters, split at sentences, else at commas, else at spaces, else anywhere."""
    text = text.strip()
    while len(text) > limit:
        end = _break(text, limit)
        yield text[:end].strip()
        text = text[end:].strip()
    if text:
        yield text


def _break(text: str, limit: int) -> int:
    for breaks in _BREAKS:
        ends = [match.end() for match in breaks.finditer(text, 0, limit + 1) if 0 < match.end() <= limit]
        if ends:
            return ends[-1]
    return limit
