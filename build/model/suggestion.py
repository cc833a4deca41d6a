"""Suggestion of a valid name in place of a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def did_you_mean(name: str, valid: Sequence[str]) -> str:
    """The end of an error message that suggests the closest valid name; empty if none is close."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean {close[0]}?" if close else ""
