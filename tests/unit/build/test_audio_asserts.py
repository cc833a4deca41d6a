"""The audio checks of the load tests detect missing audio; without them "0 failed" would mean nothing."""

import numpy as np
import pytest

from harness.audio_asserts import PCM_RATE, fault_in_pcm, fault_in_wav
from tests.unit.build.fake_drivers import speech

WAV = speech("A sentence of which every word has to be there.")  # 3.1 s


def pcm(seconds: float, silent_s: float = 0.0) -> bytes:
    sound = 0.2 * np.random.default_rng(1).normal(size=int(seconds * PCM_RATE)).clip(-3, 3)
    return (np.concatenate([sound, np.zeros(int(silent_s * PCM_RATE))]) * 32767).astype("<i2").tobytes()


def test_a_complete_recording_has_no_fault() -> None:
    assert fault_in_wav(WAV, 3.0) == ""
    assert fault_in_pcm(pcm(10), 9.5) == ""
    assert fault_in_pcm(pcm(10, silent_s=0.3), 9.5) == ""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (WAV[:-2000], "truncated"),
        (WAV[:44], "truncated"),
        (b"", "not a WAV"),
        (speech("Too short."), "the end is missing"),
    ],
)
def test_missing_audio_in_a_wav_is_detected(body: bytes, fault: str) -> None:
    assert fault in fault_in_wav(body, 3.0)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (pcm(8), "the end is missing"),
        (pcm(8, silent_s=2), "the end is silent"),
        (pcm(10)[:-1], "the last sample is incomplete"),
    ],
)
def test_missing_audio_in_a_stream_is_detected(body: bytes, fault: str) -> None:
    assert fault in fault_in_pcm(body, 9.5)
