"""The loudness of sentences: one gain for a voice, and no clipping."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engines.embedded_voice import GAIN, HEADROOM, KNEE, LEVEL, gain_of, to_int16


def tone(peak: float) -> NDArray[np.float32]:
    return (peak * np.sin(np.linspace(0, 100, 10_000))).astype(np.float32)


def peak(samples: NDArray[np.int16]) -> float:
    return float(np.abs(samples.astype(np.int32)).max()) / 32767


def test_a_quiet_sentence_stays_quiet_beside_a_loud_one() -> None:
    quiet, loud = peak(to_int16(tone(0.1))), peak(to_int16(tone(0.3)))
    assert quiet == pytest.approx(0.1 * GAIN, rel=0.01)
    assert loud == pytest.approx(3 * quiet, rel=0.01)


@pytest.mark.parametrize("level", [0.5, 1.0, 5.0, 1000.0])
def test_loud_peaks_are_rounded_off_below_full_scale(level: float) -> None:
    samples = to_int16(tone(level))
    assert KNEE < peak(samples) <= HEADROOM + 1e-4
    assert (np.sign(samples.astype(np.int32)) * np.sign(tone(level)) >= 0).all(), "no sample wraps around"


def test_silence_stays_silence() -> None:
    assert not to_int16(np.zeros((1, 1, 10), np.float32)).any()
    assert gain_of(np.zeros(10, np.float32)) == 1.0
    assert gain_of(np.zeros(0, np.float32)) == 1.0


@pytest.mark.parametrize("level", [0.05, 0.3, 0.9])
def test_voices_become_equally_loud(level: float) -> None:
    samples = tone(level)
    assert float(np.sqrt(np.mean(np.square(samples * gain_of(samples))))) == pytest.approx(LEVEL, rel=0.01)
