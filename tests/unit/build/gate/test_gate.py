"""The gate names the fault of a recording."""

import numpy as np
import pytest

from build.audio.signal import Expectation, judge, judge_samples
from build.gate import verdict
from build.gate.golden import FLOORS, Text
from build.target.synthesis import SynthesisResponse
from harness.faulty_voices import wav

RATE = 22050
TEXT = "Seven clear voices read the morning news aloud."  # 47 characters


def speech(seconds: float = 3.0, rate: int = RATE) -> np.ndarray:
    """A signal with the level, pauses and crest of speech: noise bursts of 0.25 s with gaps of 0.08 s."""
    time = np.arange(int(seconds * rate)) / rate
    syllables = (time % 0.33) < 0.25
    noise = np.random.default_rng(1).normal(size=len(time))
    return (0.15 * noise * syllables).clip(-0.9, 0.9)


def test_plausible_speech_passes() -> None:
    verdict = judge(TEXT, wav(speech()), Expectation(sample_rate=RATE))
    assert verdict.faults == ()
    assert verdict.measures is not None
    assert verdict.measures.duration_s == pytest.approx(3.0, abs=0.001)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros(3 * RATE), "silent"),
        (speech() * 0.001, "silent"),
        ((speech() * 40).clip(-1, 1), "clipped"),
        (speech(0.5), "plausible are"),
        (speech(15.0), "plausible are"),
        (np.concatenate([speech(1.5), np.zeros(int(1.2 * RATE)), speech(1.5)]), "a pause of"),
        (np.concatenate([speech(1.2), np.zeros(3 * RATE)]), "% silence"),
        (np.zeros(0), "silent"),
    ],
)
def test_each_fault_is_named(samples: np.ndarray, fault: str) -> None:
    assert fault in " ".join(judge(TEXT, wav(samples), Expectation()).faults)


def test_a_sample_rate_other_than_the_declared_one_is_named() -> None:
    assert "sample rate 16000" in judge(TEXT, wav(speech(rate=16000), 16000), Expectation(sample_rate=RATE)).faults[0]


def test_a_truncated_recording_is_rejected() -> None:
    assert "truncated" in judge(TEXT, wav(speech())[:-1000], Expectation()).faults[0]
    assert "not a WAV" in judge(TEXT, b"<html>busy</html>", Expectation()).faults[0]


def test_samples_that_are_not_numbers_are_named() -> None:
    samples = speech().astype(np.float32)
    samples[100:200] = np.nan
    assert "NaN" in judge_samples(TEXT, samples, RATE, Expectation()).faults[0]


def test_a_failed_synthesis_is_a_fault_with_its_reason() -> None:
    result = verdict.judge(
        Text(name="a", say=TEXT), SynthesisResponse(b"", error="503 loading"), None, Expectation(), {}, FLOORS
    )
    assert result.faults == ("no audio: 503 loading",)
    assert "REFUSED" in str(result)
