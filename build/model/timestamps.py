"""Conversion of RFC 3339 times, as Docker and registries write them, to seconds since 1970."""

from __future__ import annotations

from datetime import datetime


def unix(text: str) -> float:
    """Convert an RFC 3339 time; nanoseconds are cut to microseconds.

    An empty text and the year 1, which Docker writes for a time that is not set, give 0.

    Raises:
        ValueError: the text is not a time.
    """
    if not text or text.startswith("0001"):
        return 0.0
    return datetime.fromisoformat(text).timestamp()
