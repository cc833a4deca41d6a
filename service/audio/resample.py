"""Resample int16 audio; some formats support only a few sample rates."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from service.engine import Audio


def resample(samples: Audio, rate: int, target: int) -> Audio:
    """Resample [n] samples at `rate` Hz to [n * target / rate] at `target` Hz, rounded, without a time shift."""
    if rate == target:
        return samples
    # As floats: soxr adds dither to int16.
    floats: NDArray[np.float32] = soxr.resample(samples.astype(np.float32), rate, target)
    return np.clip(np.rint(floats), -32768, 32767).astype(np.int16)
