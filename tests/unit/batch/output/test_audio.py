"""Incomplete audio is an error."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from batch.output import audio
from tests.unit.batch.support import wav


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(12_000, np.int16) + 5, 8000, format=form, subtype="PCM_16")
    return file.getvalue()


def test_duration_of_complete_audio() -> None:
    assert audio.duration_s(encoded("wav"), "wav", "", "1.500") == 1.5
    assert audio.duration_s(encoded("flac"), "flac", "", "1.500") == 1.5
    assert audio.duration_s(b"\0\1" * 12_000, "pcm", "8000", "") == 1.5


@pytest.mark.parametrize(
    ("content", "form", "declared_s"),
    [
        (encoded("wav")[:-2000], "wav", "1.500"),
        (encoded("wav"), "wav", "1.6"),
        (encoded("wav"), "flac", ""),
        (encoded("flac"), "wav", ""),
        (encoded("flac")[:20], "flac", ""),
        (wav(0), "wav", ""),
        (b"", "wav", ""),
        (b"", "pcm", ""),
        (b"{}", "wav", ""),
    ],
)
def test_incomplete_audio_is_an_error(content: bytes, form: str, declared_s: str) -> None:
    with pytest.raises(ValueError, match="the response"):
        audio.duration_s(content, form, "8000", declared_s)
