"""The load test's own ears: they must hear what is missing, or "0 failed" means nothing."""

import numpy as np
import pytest

from harness.audio_asserts import PCM_RATE, fault_in_pcm, fault_in_wav
from tests.unit.build.fake_drivers import speech

WAV = speech("A sentence of which every word has to be there.")  # 3.1 s


def pcm(seconds: float, silent_s: float = 0.0) -> bytes:
    sound = 0.2 * np.random.default_rng(1).normal(size=int(seconds * PCM_RATE)).clip(-3, 3)
    return (np.concatenate([sound, np.zeros(int(silent_s * PCM_RATE))]) * 32767).astype("<i2").tobytes()


def test_whole_recordings_have_no_fault() -> None:
    assert fault_in_wav(WAV, 3.0) == ""
    assert fault_in_pcm(pcm(10), 9.5) == ""
    assert fault_in_pcm(pcm(10, silent_s=0.3), 9.5) == ""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (WAV[:-2000], "truncated"),
        (WAV[:44], "truncated"),
        (b"", "no WAV"),
        (speech("Too short."), "the end is missing"),
    ],
)
def test_what_is_missing_from_a_wav_is_heard(body: bytes, fault: str) -> None:
    assert fault in fault_in_wav(body, 3.0)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (pcm(8), "the end is missing"),
        (pcm(8, silent_s=2), "the end is silent"),
        (pcm(10)[:-1], "the last sample is incomplete"),
    ],
)
def test_what_is_missing_from_a_stream_is_heard(body: bytes, fault: str) -> None:
    assert fault in fault_in_pcm(body, 9.5)
