"""Audio formats of the API, the page and the batch client. Standard library only: clients import it too."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["wav", "pcm", "flac", "mp3", "opus"]
"""Formats that the API encodes."""

ClipFormat = Literal["wav", "flac", "pcm"]
"""Formats of the batch client: it reads their duration without decoding."""

PAGE: list[tuple[str, Format]] = [("WAV", "wav"), ("FLAC, half the size", "flac")]
"""Formats of the page, with their labels."""

STREAMED: tuple[Format, ...] = ("wav", "pcm")
MEDIA_TYPES: dict[str, str] = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
}
EXTENSIONS = frozenset((*get_args(Format), "ogg", "aac", "m4a"))
"""Extensions of audio files, including those of other programs."""
