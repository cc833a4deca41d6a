"""Encode speech as audio files and streams."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from service.audio.resample import resample
from service.engine import Audio

_COMPRESSED = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)

# The length of a stream is unknown when its header is sent; readers take this value as "to the end".
_UNKNOWN = 0xFFFFFFFF
_WAV_HEADER_BYTES = 44


def wav_header(sample_rate: int, data_bytes: int | None = None) -> bytes:
    """Return the 44-byte header of mono 16-bit samples at `sample_rate` Hz; `data_bytes` is None for a stream."""
    size = _UNKNOWN if data_bytes is None else data_bytes
    riff = _UNKNOWN if data_bytes is None else data_bytes + _WAV_HEADER_BYTES - 8
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16),
        *(b"data", size),
    )


class FileEncoder:
    """Encodes a whole file of `form` at the end."""

    def __init__(self, form: str, sample_rate: int) -> None:
        self._form = form
        self._sample_rate = sample_rate
        self._pieces: list[Audio] = []

    def add(self, samples: Audio) -> bytes:
        """Keep a piece; return nothing yet."""
        self._pieces.append(samples)
        return b""

    def end(self) -> bytes:
        """Return the file."""
        return encode(self._pieces, self._sample_rate, self._form)


def encode(pieces: list[Audio], sample_rate: int, form: str) -> bytes:
    """Encode int16 pieces as a complete file of `form` (a key of formats.MEDIA_TYPES); slow for compressed formats."""
    if form in _COMPRESSED:
        return _compress(np.concatenate(pieces), sample_rate, form)
    data = [np.ascontiguousarray(piece, "<i2").data for piece in pieces]
    header = [wav_header(sample_rate, sum(piece.nbytes for piece in data))] if form == "wav" else []
    return b"".join([*header, *data])


def _compress(samples: Audio, sample_rate: int, form: str) -> bytes:
    rate = encoded_rate(sample_rate, form)
    samples = resample(samples, sample_rate, rate)
    container, codec = _COMPRESSED[form]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, format=container, subtype=codec) as out:
        # Write one second at a time: libsndfile copies each block to its stack.
        for start in range(0, samples.size, rate):
            out.write(samples[start : start + rate])
    return file.getvalue()


def encoded_rate(sample_rate: int, form: str) -> int:
    """Return the sample rate (Hz) of a file of `form`. Opus supports only some rates; use the next higher one."""
    if form != "opus":
        return sample_rate
    return next((rate for rate in _OPUS_RATES if rate >= sample_rate), _OPUS_RATES[-1])


def seconds(pieces: list[Audio], sample_rate: int) -> float:
    """Return the duration of the pieces in seconds."""
    return sum(piece.size for piece in pieces) / sample_rate
