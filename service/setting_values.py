"""Parsers of settings that hold lists and flags; each raises ValueError with what the value must be."""

from __future__ import annotations

import re


def flag(value: str) -> bool:
    """Parse 1 (yes) or 0 (no)."""
    if value not in ("0", "1"):
        raise ValueError("must be 1 (yes) or 0 (no)")
    return value == "1"


def words(value: str) -> tuple[str, ...]:
    """Parse words separated by spaces."""
    return tuple(value.split())


def pairs(value: str) -> dict[str, str]:
    """Parse NAME=VOICE pairs separated by spaces."""
    pairs = [word.partition("=") for word in value.split()]
    for name, equals, voice in pairs:
        if not (name and voice):
            raise ValueError(f"{name + equals!r} must be NAME=VOICE; separate several by spaces")
    return {name: voice for name, _, voice in pairs}


def origins(value: str) -> tuple[str, ...]:
    """Parse origins of web pages separated by spaces; `*` is all."""
    origins = words(value)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise ValueError(f"{origin!r} must be an origin such as https://chat.example or *, without a path")
    return origins
