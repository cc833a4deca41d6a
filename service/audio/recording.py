"""Decode and check a recording of a voice: one verdict for the service, its voices file and the batch client."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

CONTAINERS = {
    "WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "OGG": "ogg", "AIFF": "aiff", "MP3": "mp3",
}  # fmt: skip
"""libsndfile's name of each accepted container, and its file extension."""

REFERENCE_SECONDS = (3.0, 10.0)
"""Shortest and longest recording of a voice to clone."""

MAX_CHANNELS = 8
RATES = (4000, 192_000)
"""Lowest and highest sample rate in Hz."""

_SILENT = 0.003  # -50 dBFS: the peak of a recording without a voice
_CANCELLED = 0.25  # share of the loudest channel's level that a mix of independent channels always exceeds
_BLOCK_S = 1
# A few bytes of FLAC can decode to hours of silence. The limits above and the longest duration bound the decoded size.

_OTHERS = ((4, b"ftyp", "an MP4 or M4A file"), (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
           (0, b"#!AMR", "an AMR file"), (0, b"0&\xb2u", "a WMA file"))  # fmt: skip


class Recording(NamedTuple):
    """Mono int16 samples [n] at `rate` Hz."""

    samples: NDArray[np.int16]
    rate: int


class BadRecordingError(Exception):
    """The recording cannot be used; the message goes on after its name. `length`: it is too short or too long."""

    def __init__(self, message: str, *, length: bool = False) -> None:
        super().__init__(message)
        self.length = length


def decode(source: Path | BinaryIO, allowed: tuple[float, float]) -> Recording:
    """Decode a recording of a duration within `allowed` (seconds) and mix it to mono; raise BadRecordingError.

    Blocking.
    """
    try:
        with soundfile.SoundFile(source) as file:
            _check_format(file)
            channels = _read(file, allowed)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError, OverflowError):
        raise BadRecordingError(f"is {_kind(source)}; send {_formats()}") from None
    return Recording(_to_int16(_mixed(channels)), rate)


def _check_format(file: soundfile.SoundFile) -> None:
    if file.format not in CONTAINERS or not RATES[0] <= file.samplerate <= RATES[1] or file.channels > MAX_CHANNELS:
        actual = f"{file.format.lower()} with {file.channels} channels at {file.samplerate} Hz"
        limits = f"with at most {MAX_CHANNELS} channels at {RATES[0]} to {RATES[1]} Hz"
        raise BadRecordingError(f"is {actual}; send {_formats()} {limits}")


def _read(file: soundfile.SoundFile, allowed: tuple[float, float]) -> NDArray[np.float32]:
    """Return float samples [n, channels]. The header may state a wrong duration, so the samples count."""
    low, high = allowed
    rate = int(file.samplerate)
    most, blocks, frames = int(high * rate) + 1, [], 0
    stated = file.frames / rate
    while stated <= high or _unknown(file.frames):
        block = file.read(min(_BLOCK_S * rate, most - frames), dtype="float32", always_2d=True)
        blocks.append(block)
        frames += len(block)
        if not len(block) or frames >= most:
            break
    seconds = frames / rate if blocks else stated
    if not low <= seconds <= high:
        shown = f"more than {high:g}" if blocks and frames >= most else f"{seconds:.2f}"
        raise BadRecordingError(f"lasts {shown} s; it must last {low:g} to {high:g} s", length=True)
    found: NDArray[np.float32] = np.concatenate(blocks)
    return found


def _unknown(frames: int) -> bool:
    """Return whether a header states no length, as that of a stream."""
    return frames >= 1 << 30


def _mixed(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mix to mono. Where the channels cancel each other (one is inverted), the loudest one is the voice."""
    if not np.isfinite(channels).all():
        raise BadRecordingError("has samples that are not finite numbers; export it again")
    mixed: NDArray[np.float32] = channels.mean(axis=1)
    levels = np.sqrt(np.square(channels).mean(axis=0))
    if np.sqrt(np.square(mixed).mean()) < _CANCELLED * levels.max():
        mixed = channels[:, int(levels.argmax())]
    if np.abs(mixed).max() < _SILENT:
        raise BadRecordingError("is silent; record it again")
    return mixed


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert to int16; samples of a float file beyond -1..1 are scaled, not clipped."""
    peak = max(1.0, float(np.abs(samples).max()))
    scaled: NDArray[np.int16] = np.rint(samples * (32767 / peak)).astype(np.int16)
    return scaled


def _kind(source: Path | BinaryIO) -> str:
    """Return what a file that cannot be decoded is."""
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                head = file.read(12)
        else:
            source.seek(0)
            head = source.read(12)
    except (OSError, ValueError):
        return "not readable audio"
    known = (name for at, magic, name in _OTHERS if head[at : at + len(magic)] == magic)
    return next(known, "not readable audio")


def _formats() -> str:
    *first, last = dict.fromkeys(CONTAINERS.values())
    return f"{', '.join(first)} or {last}"
