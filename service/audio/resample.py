"""Resample int16 audio; some formats support only a few sample rates."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from service.engine import Audio


class Resampler:
    """Resamples one recording from `rate` to `target` Hz, fed in pieces, without a time shift."""

    def __init__(self, rate: int, target: int) -> None:
        # As floats: soxr adds dither to int16.
        self._stream = None if rate == target else soxr.ResampleStream(rate, target, 1, dtype="float32")

    def add(self, samples: Audio) -> Audio:
        """Return what is ready; the filter keeps some milliseconds until the next piece."""
        return self._resampled(samples, last=False)

    def end(self) -> Audio:
        """Return the rest."""
        return self._resampled(np.zeros(0, np.int16), last=True)

    def _resampled(self, samples: Audio, *, last: bool) -> Audio:
        if self._stream is None:
            return samples
        return _rounded(self._stream.resample_chunk(samples.astype(np.float32), last=last))


def resample(samples: Audio, rate: int, target: int) -> Audio:
    """Resample [n] samples at `rate` Hz to [n * target / rate] at `target` Hz, rounded, without a time shift."""
    if rate == target:
        return samples
    return _rounded(soxr.resample(samples.astype(np.float32), rate, target))


def _rounded(floats: NDArray[np.float32]) -> Audio:
    return np.clip(np.rint(floats), -32768, 32767).astype(np.int16)
