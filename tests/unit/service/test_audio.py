from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.audio import check_prompt, encode, find_prompt, seconds, wav_header
from service.errors import InvalidError
from service.settings import Settings

RATE = 22050
PIECES = [np.arange(-500, 500, dtype=np.int16), np.full(300, 123, np.int16)]


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_what_is_encoded_decodes_to_the_same_samples(form: str) -> None:
    samples, rate = soundfile.read(io.BytesIO(encode(PIECES, RATE, form)), dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, np.concatenate(PIECES))


def test_pcm_is_the_bare_samples() -> None:
    assert encode(PIECES, RATE, "pcm") == np.concatenate(PIECES).tobytes()
    assert seconds(PIECES, RATE) == pytest.approx(1300 / RATE)


def test_a_streamed_wav_is_read_to_its_end() -> None:
    samples, rate = soundfile.read(io.BytesIO(wav_header(RATE) + PIECES[0].tobytes()), dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, PIECES[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A voices folder with a file, and a link that leads out of it."""
    voices = tmp_path / "voices"
    voices.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (voices / "good.wav").write_bytes(encode([np.zeros(RATE, np.int16)], RATE, "wav"))
    (voices / "link.wav").symlink_to(tmp_path / "secret.wav")
    (voices / "loop").symlink_to(voices / "loop")
    (voices / "text.wav").write_text("this is no audio")
    (voices / "short.wav").write_bytes(encode([np.zeros(10, np.int16)], RATE, "wav"))
    return voices


@pytest.mark.parametrize(
    "name",
    ["../secret.wav", "link.wav", "loop", "/etc/passwd", "http://host/a.wav", "file:///etc/passwd", "none.wav", ".",
     "nul\0", "x" * 5000, "sub/../good.wav", "..", "\udcff"],
)  # fmt: skip
def test_no_name_leads_out_of_the_voices_folder(folder: Path, name: str) -> None:
    with pytest.raises(InvalidError, match="no file in the voices folder"):
        find_prompt(folder, name, "data[0]")


def test_an_absolute_name_is_refused_even_inside(folder: Path) -> None:
    assert find_prompt(folder, "good.wav", "p") == folder / "good.wav"
    with pytest.raises(InvalidError):
        find_prompt(folder, str(folder / "good.wav"), "p")


def test_a_prompt_must_be_audio_of_some_length(folder: Path) -> None:
    assert check_prompt(folder / "good.wav", "p") == pytest.approx(1.0)
    with pytest.raises(InvalidError, match="not audio"):
        check_prompt(folder / "text.wav", "p")
    with pytest.raises(InvalidError, match="lasts"):
        check_prompt(folder / "short.wav", "p")


def test_the_sample_is_four_seconds_at_16_khz() -> None:
    info = soundfile.info(Settings.from_env({}).voices / "examples" / "sample.wav")
    assert (info.samplerate, info.channels) == (16000, 1)
    assert 3 < info.duration < 5
