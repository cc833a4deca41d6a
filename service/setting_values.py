"""Parsers of settings; each raises ValueError with what the value must be."""

from __future__ import annotations

import re

_LOG_FORMATS = ("text", "json")
_GLM_RATES = ("24000", "32000")


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


def release(value: str) -> str:
    """Parse the name of a release."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", value):
        raise ValueError(
            "must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, because the service sends it as a header"
        )
    return value


def log_format(value: str) -> str:
    """Parse the format of the log."""
    if value not in _LOG_FORMATS:
        raise ValueError(f"must be {' or '.join(_LOG_FORMATS)}")
    return value


def web_address(value: str) -> str:
    """Parse a URL; empty: none."""
    if value and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("must be a URL that begins with http:// or https://, such as http://collector:4318")
    return value


def glm_rate(value: str) -> int:
    """Parse a sample rate (Hz) of GLM-TTS."""
    if value not in _GLM_RATES:
        raise ValueError(f"must be {' or '.join(_GLM_RATES)} (Hz)")
    return int(value)
