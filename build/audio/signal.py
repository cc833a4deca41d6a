"""Check a recording without a reference: silence, clipping, wrong length, wrong rate.

build.audio.features compares voices and sentences with references.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FRAME_S = 0.02
SILENT_DBFS = -50.0
CLIPPED_AT = 0.999
FLOOR_DBFS = -120.0
STREAMED = 0x7FFFFFFF  # number of samples in the header of a streamed WAV, whose writer did not know the length


@dataclass(frozen=True)
class Expectation:
    """Limits for one synthesis.

    Attributes:
        sample_rate: Hz, as the release declares.
        chars_per_second: slowest and fastest plausible speech; English lies between 8 and 25.
        overhead_s: silence that a voice may add around a short text.
        rms_dbfs: minimum level.
        peak: minimum and maximum peak; full scale is 1.
        clipped: maximum share of samples at full scale.
        silence: maximum share of silent frames.
        gap_s: longest silence between sounds.
    """

    sample_rate: int | None = None
    chars_per_second: tuple[float, float] = (6.0, 28.0)
    overhead_s: float = 1.0
    rms_dbfs: float = -40.0
    peak: tuple[float, float] = (0.05, 1.0)
    clipped: float = 0.001
    silence: float = 0.6
    gap_s: float = 1.0


@dataclass(frozen=True)
class Measures:
    """Measures of a recording in seconds, Hz, dBFS, shares of 1."""

    sample_rate: int
    duration_s: float
    rms_dbfs: float
    peak: float
    clipped: float
    silence: float
    gap_s: float


@dataclass(frozen=True)
class SignalVerdict:
    """`faults` is empty if the recording passes; each entry has the measured and the allowed value."""

    measures: Measures | None
    faults: tuple[str, ...]


def decode(wav: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decode a mono 16-bit PCM WAV to floats in [-1, 1), shape (samples,), and its rate in Hz.

    Raises:
        ValueError: another format, or a truncated file.
    """
    try:
        with wave.open(io.BytesIO(wav)) as reader:
            if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
                raise ValueError(f"{reader.getnchannels()} channels of {reader.getsampwidth()} bytes, not mono 16 bit")
            declared, rate = reader.getnframes(), reader.getframerate()
            frames = reader.readframes(declared)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"not a WAV: {error}") from None
    if rate <= 0:
        raise ValueError(f"invalid sample rate: {rate} Hz")
    if len(frames) != 2 * declared and declared < STREAMED:
        raise ValueError(f"truncated: {len(frames) // 2} of {declared} samples")
    return np.frombuffer(frames, "<i2").astype(np.float32) / np.float32(32768), rate


def measure(samples: npt.NDArray[np.float32], rate: int) -> Measures:
    """Measure a mono signal in [-1, 1], shape (samples,), at `rate` Hz."""
    if not len(samples):
        return Measures(rate, 0.0, FLOOR_DBFS, 0.0, 0.0, 1.0, 0.0)
    frame = max(1, int(rate * FRAME_S))
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    level = np.sqrt(np.mean(np.square(padded), axis=1))
    silent = level < 10 ** (SILENT_DBFS / 20)
    rms = float(np.sqrt(np.mean(np.square(samples))))
    return Measures(
        sample_rate=rate,
        duration_s=len(samples) / rate,
        rms_dbfs=max(float(20 * np.log10(rms)), FLOOR_DBFS) if rms else FLOOR_DBFS,
        peak=float(np.max(np.abs(samples))),
        clipped=float(np.mean(np.abs(samples) >= CLIPPED_AT)),
        silence=float(np.mean(silent)),
        gap_s=_longest_inner_run(silent) * FRAME_S,
    )


def _longest_inner_run(silent: npt.NDArray[np.bool_]) -> int:
    """Return the number of frames of the longest silence with sound on both sides."""
    sound = np.flatnonzero(~silent)
    return int(np.max(np.diff(sound), initial=1)) - 1 if len(sound) else 0


def judge(text: str, wav: bytes, expected: Expectation) -> SignalVerdict:
    """Judge `wav` as a recording of `text`."""
    try:
        samples, rate = decode(wav)
    except ValueError as error:
        return SignalVerdict(None, (f"cannot be decoded: {error}",))
    return judge_samples(text, samples, rate, expected)


def judge_samples(text: str, samples: npt.NDArray[np.float32], rate: int, expected: Expectation) -> SignalVerdict:
    """Judge a mono signal in [-1, 1], shape (samples,), at `rate` Hz, as a recording of `text`."""
    if not np.isfinite(samples).all():
        return SignalVerdict(
            None, (f"not numbers: {1 - np.isfinite(samples).mean():.2%} of samples are NaN or infinite",)
        )
    measures = measure(samples, rate)
    slow, fast = expected.chars_per_second
    shortest, longest = len(text) / fast, len(text) / slow + expected.overhead_s
    checks = (
        (
            expected.sample_rate in (None, rate),
            f"sample rate {rate} Hz, not the {expected.sample_rate} Hz that the release declares",
        ),
        (
            shortest <= measures.duration_s <= longest,
            f"{measures.duration_s:.2f} s for {len(text)} characters, plausible are {shortest:.2f} to {longest:.2f} s",
        ),
        (
            measures.rms_dbfs > expected.rms_dbfs,
            f"silent: level {measures.rms_dbfs:.0f} dBFS, at least {expected.rms_dbfs:.0f} required",
        ),
        (
            expected.peak[0] <= measures.peak <= expected.peak[1],
            f"peak {measures.peak:.3f}, plausible are {expected.peak[0]} to {expected.peak[1]}",
        ),
        (
            measures.clipped <= expected.clipped,
            f"clipped: {measures.clipped:.2%} of samples at full scale, at most {expected.clipped:.2%}",
        ),
        (measures.silence <= expected.silence, f"{measures.silence:.0%} silence, at most {expected.silence:.0%}"),
        (measures.gap_s <= expected.gap_s, f"a pause of {measures.gap_s:.2f} s, at most {expected.gap_s:.2f} s"),
    )
    return SignalVerdict(measures, tuple(fault for passed, fault in checks if not passed))
