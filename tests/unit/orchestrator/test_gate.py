"""The gate hears what is wrong with a recording."""

import io
import wave
from itertools import pairwise

import numpy as np
import pytest

from build.decisions import gate
from build.decisions.audio import Expectation, judge

RATE = 22050
TEXT = "Seven clear voices read the morning news aloud."  # 47 characters


def speech(seconds: float = 3.0, rate: int = RATE) -> np.ndarray:
    """Something with the level, pauses and crest of speech: noise bursts of 0.25 s with gaps of 0.08 s."""
    time = np.arange(int(seconds * rate)) / rate
    syllables = (time % 0.33) < 0.25
    noise = np.random.default_rng(1).normal(size=len(time))
    return (0.15 * noise * syllables).clip(-0.9, 0.9)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


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
        (speech(0.5), "plausible is"),
        (speech(15.0), "plausible is"),
        (np.concatenate([speech(1.5), np.zeros(int(1.2 * RATE)), speech(1.5)]), "a gap of"),
        (np.concatenate([speech(1.2), np.zeros(3 * RATE)]), "% silence"),
        (np.zeros(0), "silent"),
    ],
)
def test_each_fault_is_named(samples: np.ndarray, fault: str) -> None:
    assert fault in " ".join(judge(TEXT, wav(samples), Expectation()).faults)


def test_another_rate_than_the_declared_one_is_named() -> None:
    assert "sample rate 16000" in judge(TEXT, wav(speech(rate=16000), 16000), Expectation(sample_rate=RATE)).faults[0]


def test_a_recording_whose_end_is_missing_does_not_decode() -> None:
    assert "truncated" in judge(TEXT, wav(speech())[:-1000], Expectation()).faults[0]
    assert "no WAV" in judge(TEXT, b"<html>busy</html>", Expectation()).faults[0]


def test_a_refused_synthesis_is_a_fault_with_the_reason_given() -> None:
    result = gate.judge(TEXT, 1, b"", "503 loading", took_s=0.1)
    assert result.faults == ("no audio: 503 loading",)
    assert "REFUSED" in str(result)


def test_the_same_number_of_sentences_as_asked_for_and_no_two_neighbours_equal() -> None:
    texts = gate.sentences(12)
    assert len(texts) == 12
    assert all(one != two for one, two in pairwise(texts))
