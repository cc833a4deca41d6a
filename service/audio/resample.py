"""Resample audio with a polyphase filter, without a dependency; some formats support only a few sample rates."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from service.engine import Audio

_HALF = 32  # zero crossings of the sinc on each side: images are more than 80 dB down
_BETA = 9.0  # beta of the Kaiser window
_PASSBAND = 0.94  # fraction of the band; the rest is the transition band


def resample(samples: Audio, rate: int, target: int) -> Audio:
    """Resample [n] samples at `rate` Hz to [ceil(n * target / rate)] at `target` Hz, without a time shift."""
    if rate == target:
        return samples
    common = math.gcd(rate, target)
    up, down = target // common, rate // common
    filters = _filters(up, down)
    taps = filters.shape[1]
    count = -(-samples.size * up // down)
    padded = np.pad(samples.astype(np.float32), (taps // 2 - 1, taps // 2 + down))
    windows = sliding_window_view(padded, taps)
    result = np.empty(count, np.float32)
    for first in range(min(up, count)):
        # Outputs `up` apart have the same phase between two input samples, so they share one filter.
        start, phase = divmod(first * down, up)
        outputs = result[first::up]
        outputs[:] = windows[start::down][: outputs.size] @ filters[phase]
    return np.clip(np.rint(result), -32768, 32767).astype(np.int16)


@functools.cache
def _filters(up: int, down: int) -> NDArray[np.float32]:
    """Return the filter weights for each of `up` phases, shape [up, taps]."""
    cutoff = _PASSBAND * min(1.0, up / down)
    half = math.ceil(_HALF / cutoff)
    distance = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(_BETA)
    weights = cutoff * np.sinc(cutoff * distance) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
