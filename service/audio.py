"""Audio as bytes: encoding speech, and checking what is offered as a prompt."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import soundfile

from service.engines.base import Audio
from service.errors import InvalidError

MEDIA_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "flac": "audio/flac"}
STREAMED = ("wav", "pcm")
PROMPT_SECONDS = (0.1, 60.0)

# The length of a stream is not known when its header goes out; readers take this value as "to the end".
_UNKNOWN = 0xFFFFFFFF
_WAV_HEADER_BYTES = 44


def wav_header(sample_rate: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before mono 16-bit samples at `sample_rate` Hz; `data_bytes` None for a stream."""
    size = _UNKNOWN if data_bytes is None else data_bytes
    riff = _UNKNOWN if data_bytes is None else data_bytes + _WAV_HEADER_BYTES - 8
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16),
        *(b"data", size),
    )


def encode(pieces: list[Audio], sample_rate: int, form: str) -> bytes:
    """Int16 pieces to a whole file of `form` (a key of MEDIA_TYPES). Blocking: call it in a thread."""
    samples = np.concatenate(pieces).astype("<i2", copy=False)
    if form == "flac":
        file = io.BytesIO()
        soundfile.write(file, samples, sample_rate, format="FLAC", subtype="PCM_16")
        return file.getvalue()
    data = samples.tobytes()
    return data if form == "pcm" else wav_header(sample_rate, len(data)) + data


def seconds(pieces: list[Audio], sample_rate: int) -> float:
    """How long the pieces sound, in seconds."""
    return sum(piece.size for piece in pieces) / sample_rate


def find_prompt(folder: Path, name: str, param: str) -> Path:
    """The file called `name` inside `folder`, or InvalidError: no URL, no way out of the folder, no link out of it."""
    refusal = InvalidError(f"{param} names no file in the voices folder", code="no_such_audio", param=param)
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # over-long names, NUL bytes, loops of links
        raise refusal from None
    if not inside or ".." in Path(name).parts or Path(name).is_absolute():
        raise refusal
    return path


def check_prompt(path: Path, param: str) -> float:
    """Decode the audio file at `path` and return its seconds, or InvalidError. Blocking: call it in a thread."""
    try:
        with soundfile.SoundFile(path) as file:
            duration = float(file.frames / file.samplerate)
            if PROMPT_SECONDS[0] <= duration <= PROMPT_SECONDS[1]:
                read = len(file.read(dtype="int16"))
                duration = float(read / file.samplerate)
    except (soundfile.LibsndfileError, OSError):
        raise InvalidError(f"{param} is not audio that can be read", code="not_audio", param=param) from None
    low, high = PROMPT_SECONDS
    if not low <= duration <= high:
        raise InvalidError(f"{param} lasts {duration:.2f} s, allowed are {low:g} to {high:g} s",
                      code="bad_prompt_length", param=param)  # fmt: skip
    return duration
