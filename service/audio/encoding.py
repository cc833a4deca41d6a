"""Encode speech as audio files and streams."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple, Protocol, cast

import av
import numpy as np

from service.audio.resample import Resampler
from service.engine import Audio
from service.formats import LENGTH_IN_HEADER, OPENAI_RATE
from service.telemetry.record import Step, current_record


class _Codec(NamedTuple):
    """How FFmpeg writes a format: codec and container by its names, options of the container, bits per second."""

    codec: str
    samples: str
    container: str
    options: dict[str, str]
    bit_rate: int | None = None


_CODECS = {
    # Constant bit rate. FFmpeg leaves the Xing frame out where it cannot seek: it states a length, and players of
    # joined files stop after it.
    "mp3": _Codec("libmp3lame", "s16p", "mp3", {"id3v2_version": "0"}, 64_000),
    # Short pages (in microseconds), so that the end of a sentence does not wait for the next one.
    "opus": _Codec("libopus", "s16", "ogg", {"page_duration": "60000"}, 32_000),
    "aac": _Codec("aac", "fltp", "adts", {}, 64_000),
    "flac": _Codec("flac", "s16", "flac", {"metadata_header_padding": "0"}),
    # For the player of the web page, in which browsers append the parts. Short clusters (in milliseconds), as above.
    "webm": _Codec("libopus", "s16", "webm", {"live": "1", "cluster_time_limit": "100"}, 32_000),
}
# OpenAI's rate or more, so that files of different voices can be joined, and clients that assume its rate are right.
_RATES: dict[str, tuple[int, ...]] = {
    "mp3": (OPENAI_RATE, 32_000, 44_100, 48_000),
    "opus": (OPENAI_RATE, 48_000),
    "webm": (OPENAI_RATE, 48_000),
    "aac": (OPENAI_RATE, 32_000, 44_100, 48_000),
    "pcm": (OPENAI_RATE,),
}
"""Sample rates (Hz) of the formats that do not take every rate."""

# The length of a stream is unknown when its header is sent; readers take this value as "to the end".
_UNKNOWN = 0xFFFFFFFF
_WAV_HEADER_BYTES = 44


def encoded_rate(sample_rate: int, form: str) -> int:
    """Return the sample rate (Hz) of speech in `form`: the same, or the next higher one that the format has."""
    rates = _RATES.get(form, (sample_rate,))
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])


class Writer(Protocol):
    """Turns audio into bytes, fed piece by piece."""

    def add(self, samples: Audio) -> bytes: ...

    def end(self) -> bytes: ...


class Encoder:
    """Encodes one response, fed piece by piece. Slow for compressed formats: call it in a thread, one at a time.

    Args:
        form: a key of formats.MEDIA_TYPES.
        sample_rate: that of the pieces in Hz; the attribute is that of the encoded audio.
        whole: the header states the length, so that all bytes of wav and flac come at the end.
    """

    def __init__(self, form: str, sample_rate: int, *, whole: bool = False) -> None:
        self.sample_rate = encoded_rate(sample_rate, form)
        self._resampler = Resampler(sample_rate, self.sample_rate)
        self._record = current_record()
        self._writer = _writer(form, self.sample_rate, whole=whole and form in LENGTH_IN_HEADER)

    def add(self, samples: Audio) -> bytes:
        """Return the bytes that are ready after `samples`, perhaps none."""
        with self._record.during(Step.ENCODE):
            return self._writer.add(self._resampler.add(samples))

    def end(self) -> bytes:
        """Return the last bytes; nothing can be added afterwards."""
        with self._record.during(Step.ENCODE):
            return self._writer.add(self._resampler.end()) + self._writer.end()


def _writer(form: str, rate: int, *, whole: bool) -> Writer:
    if form in _CODECS:
        return _Compressed(_CODECS[form], rate, whole=whole)
    if whole:
        return _WholeWav(rate)
    return _Raw(wav_header(rate) if form == "wav" else b"")


class _Raw:
    """Samples behind a header."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def add(self, samples: Audio) -> bytes:
        head, self._head = self._head, b""
        return head + samples.astype("<i2", copy=False).tobytes()

    def end(self) -> bytes:
        return b""


class _WholeWav:
    """A WAV file whose header states its length."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: list[Audio] = []

    def add(self, samples: Audio) -> bytes:
        self._pieces.append(samples)
        return b""

    def end(self) -> bytes:
        data = [np.ascontiguousarray(piece, "<i2").data for piece in self._pieces]
        return b"".join([wav_header(self._rate, sum(piece.nbytes for piece in data)), *data])


class _Stream:
    """File that FFmpeg writes to and cannot seek in."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        written, self._written = bytes(self._written), bytearray()
        return written


class _Compressed:
    """FFmpeg's encoder and container. A whole file is written to a file that it seeks in to complete the header."""

    def __init__(self, codec: _Codec, rate: int, *, whole: bool) -> None:
        self._rate = rate
        self._file = io.BytesIO() if whole else _Stream()
        self._container = av.open(self._file, "w", format=codec.container, options=codec.options)
        stream = self._container.add_stream(codec.codec, rate=rate, layout="mono", format=codec.samples)
        self._stream = cast(av.AudioStream, stream)
        if codec.bit_rate:
            self._stream.bit_rate = codec.bit_rate

    def add(self, samples: Audio) -> bytes:
        if not samples.size:
            return b""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
        frame.sample_rate = self._rate
        return self._encoded(frame)

    def end(self) -> bytes:
        body = self._encoded(None)
        self._container.close()
        return self._file.getvalue() if isinstance(self._file, io.BytesIO) else body + self._file.taken()

    def _encoded(self, frame: av.AudioFrame | None) -> bytes:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        return self._file.taken() if isinstance(self._file, _Stream) else b""


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


def encode(pieces: list[Audio], sample_rate: int, form: str) -> bytes:
    """Encode int16 pieces as a complete file of `form` (a key of formats.MEDIA_TYPES); slow for compressed formats."""
    encoder = Encoder(form, sample_rate, whole=True)
    return b"".join([*map(encoder.add, pieces), encoder.end()])


def seconds(pieces: list[Audio], sample_rate: int) -> float:
    """Return the duration of the pieces in seconds."""
    return sum(piece.size for piece in pieces) / sample_rate
