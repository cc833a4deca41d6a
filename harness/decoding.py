"""Decode encoded speech by FFmpeg, as a client's player would."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray


def decoded(content: bytes) -> tuple[NDArray[np.float32], int]:
    """Decode a file or a stream; return samples [n] from -32768 to 32767, and their rate in Hz."""
    with av.open(io.BytesIO(content), "r") as file:
        resampler = av.AudioResampler("flt", "mono")
        frames = [piece for frame in file.decode(audio=0) for piece in resampler.resample(frame)]
    samples: NDArray[np.float32] = np.concatenate([frame.to_ndarray()[0] for frame in frames]) * np.float32(32768)
    return samples, frames[0].sample_rate


def seconds_of(content: bytes) -> float:
    """Return the duration of a file or a stream in seconds."""
    samples, rate = decoded(content)
    return samples.size / rate
