"""Audio formats of the API, the page and the batch client. Standard library only: clients import it too."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
"""Formats that the API encodes; the first is the default, as OpenAI's."""

ClipFormat = Literal["wav", "flac", "pcm"]
"""Formats of the batch client: it reads their duration without decoding."""

PAGE: list[tuple[str, Format]] = [("WAV", "wav"), ("FLAC, half the size", "flac")]
"""Formats of the page, with their labels."""

LENGTH_IN_HEADER: tuple[Format, ...] = ("wav", "flac")
"""Formats whose header states the length: complete files by default, since many readers need the length."""

OPENAI_RATE = 24_000
"""Sample rate (Hz) of OpenAI's API: its clients assume it for raw samples."""

MEDIA_TYPES: dict[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
EXTENSIONS = frozenset((*get_args(Format), "ogg", "m4a"))
"""Extensions of audio files, including those of other programs."""
