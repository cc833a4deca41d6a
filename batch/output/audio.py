"""Check that received audio is complete, and return its duration, without decoding: that costs as much as synthesis."""

from __future__ import annotations

import io
import wave

_TOLERANCE_S = 0.002
_FLAC_HEAD = 26


def duration_s(content: bytes, form: str, sample_rate: str, declared_s: str) -> float:
    """Return the duration of a clip in seconds.

    Args:
        sample_rate: X-Sample-Rate in Hz; used only for pcm, which has no header.
        declared_s: X-Audio-Duration; empty if the service does not send it.

    Raises:
        ValueError: the audio has another format, or another duration than the service states.
    """
    try:
        frames, rate = _length(content, form, sample_rate)
        seconds = frames / rate
    except (ValueError, EOFError, ZeroDivisionError, wave.Error) as error:
        raise ValueError(f"the response is not {form}: {error}") from None
    if not frames:
        raise ValueError("the response has no audio")
    if declared_s and abs(float(declared_s) - seconds) > _TOLERANCE_S:
        raise ValueError(f"the response has {seconds:.3f} s of audio, but X-Audio-Duration is {declared_s} s")
    return round(seconds, 3)


def _length(content: bytes, form: str, sample_rate: str) -> tuple[int, int]:
    if form == "pcm":
        return len(content) // 2, int(sample_rate or 0)
    if form == "flac":
        # STREAMINFO comes first: 20 bits of sample rate, 8 of no interest here, 36 of length.
        if not content.startswith(b"fLaC") or len(content) < _FLAC_HEAD:
            raise ValueError("no FLAC header")
        stream_info = int.from_bytes(content[18:_FLAC_HEAD])
        return stream_info & (2**36 - 1), stream_info >> 44
    with wave.open(io.BytesIO(content)) as file:
        # The header may state more frames than the file has.
        frames = len(file.readframes(file.getnframes())) // (file.getsampwidth() * file.getnchannels())
        return frames, file.getframerate()
