"""The formats of audio, for API, page and batch client alike. Standard library only: clients read it, too."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["wav", "pcm", "flac", "mp3", "opus"]
"""What the API encodes."""

ClipFormat = Literal["wav", "flac", "pcm"]
"""What the batch client takes: formats whose length it reads without decoding."""

PAGE: list[tuple[str, Format]] = [("WAV", "wav"), ("FLAC, half the size", "flac")]
"""What the page offers, with its labels."""

STREAMED: tuple[Format, ...] = ("wav", "pcm")
MEDIA_TYPES: dict[str, str] = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
}
EXTENSIONS = frozenset((*get_args(Format), "ogg", "aac", "m4a"))
"""Extensions of audio files, those of other programs too."""
