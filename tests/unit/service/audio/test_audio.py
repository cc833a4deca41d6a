from __future__ import annotations

import asyncio
import base64
import io
import threading
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from service import formats
from service.audio import encoding
from service.audio.encoding import encode, encoded_rate, seconds, wav_header
from service.audio.reference import find_prompt, read_prompt, read_reference
from service.audio.resample import resample
from service.errors import InvalidError
from service.settings import Settings

RATE = 22050
PIECES = [np.arange(-500, 500, dtype=np.int16), np.full(600, 123, np.int16)[::2]]


def test_every_format_has_a_media_type() -> None:
    assert formats.MEDIA_TYPES.keys() == set(get_args(formats.Format))


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_lossless_formats_decode_to_the_same_samples(form: str) -> None:
    samples, rate = soundfile.read(io.BytesIO(encode(PIECES, RATE, form)), dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, np.concatenate(PIECES))


@pytest.mark.parametrize(("form", "spoken_s", "elsewhere"), [("wav", 1, False), ("wav", 60, True), ("flac", 1, True)])
def test_slow_encodings_run_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, form: str, spoken_s: int, elsewhere: bool
) -> None:
    threads = []

    def recorded(*_arguments: object) -> bytes:
        threads.append(threading.current_thread())
        return b"encoded"

    monkeypatch.setattr(encoding, "encode", recorded)
    assert asyncio.run(encoding.encoded([np.zeros(spoken_s * RATE, np.int16)], RATE, form)) == b"encoded"
    assert (threads != [threading.current_thread()]) is elsewhere


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100])
def test_every_format_decodes_to_the_same_length_and_sound(form: str, rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    samples = (8000 * tone * np.linspace(0, 1, tone.size)).astype(np.int16)
    decoded, decoded_rate = soundfile.read(
        io.BytesIO(encode([samples[:999], samples[999:]], rate, form)), dtype="int16"
    )
    assert decoded_rate == encoded_rate(rate, form)
    assert len(decoded) == 2 * decoded_rate
    expected = resample(samples, rate, decoded_rate).astype(float)
    middle = slice(decoded_rate // 2, -decoded_rate // 20)
    assert np.corrcoef(decoded.astype(float)[middle], expected[middle])[0, 1] > 0.99, (
        "the audio is shifted or distorted"
    )
    assert np.std(decoded[middle]) == pytest.approx(np.std(expected[middle]), rel=0.05)


@pytest.mark.parametrize(("rate", "target"), [(22050, 24000), (44100, 48000), (96000, 48000), (24000, 8000)])
def test_resampling_keeps_a_tone_and_adds_no_noise(rate: int, target: int) -> None:
    tone = 0.4 * min(rate, target)
    samples = (20000 * np.sin(2 * np.pi * tone * np.arange(rate) / rate)).astype(np.int16)
    ideal = 20000 * np.sin(2 * np.pi * tone * np.arange(target) / target)
    got = resample(samples, rate, target)
    assert got.size == target
    error = (got - ideal)[target // 10 : -target // 10]
    assert np.sqrt(np.mean(error**2)) < 3, "more than 73 dB below the tone"


def test_resampling_removes_frequencies_above_the_lower_rate() -> None:
    samples = (20000 * np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000)).astype(np.int16)
    assert np.abs(resample(samples, 48000, 24000)[1000:-1000]).max() < 20


def test_resampling_of_one_sample_and_of_none() -> None:
    assert resample(np.array([1000], np.int16), 22050, 24000).size == 1
    assert resample(np.array([], np.int16), 22050, 24000).size == 0


def test_pcm_has_no_header() -> None:
    assert encode(PIECES, RATE, "pcm") == np.concatenate(PIECES).tobytes()
    assert seconds(PIECES, RATE) == pytest.approx(1300 / RATE)


def test_a_streamed_wav_is_read_to_its_end() -> None:
    samples, rate = soundfile.read(io.BytesIO(wav_header(RATE) + PIECES[0].tobytes()), dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, PIECES[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A voices folder with valid and invalid files, and a link that points out of it."""
    voices = tmp_path / "voices"
    voices.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (voices / "good.wav").write_bytes(encode([np.full(RATE, 3000, np.int16)], RATE, "wav"))
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
def test_prompt_names_cannot_leave_the_voices_folder(folder: Path, name: str) -> None:
    with pytest.raises(InvalidError, match="not the name of a file in the voices folder"):
        find_prompt(folder, name, "data[0]")


def test_an_absolute_path_is_rejected_even_inside_the_folder(folder: Path) -> None:
    assert find_prompt(folder, "good.wav", "p") == folder / "good.wav"
    with pytest.raises(InvalidError):
        find_prompt(folder, str(folder / "good.wav"), "p")


def test_a_prompt_must_be_audio_of_a_minimum_length(folder: Path) -> None:
    assert read_prompt(folder / "good.wav", "p").seconds == pytest.approx(1.0)
    with pytest.raises(InvalidError, match="not readable audio"):
        read_prompt(folder / "text.wav", "p")
    with pytest.raises(InvalidError, match="lasts"):
        read_prompt(folder / "short.wav", "p")


def test_a_header_with_a_shorter_length_limits_the_decoded_audio(folder: Path) -> None:
    data = encode([np.full(40 * RATE, 3000, np.int16)], RATE, "wav")
    with pytest.raises(InvalidError, match="lasts"):
        read_reference(folder, base64.b64encode(data).decode(), "")
    promised = wav_header(RATE, 5 * RATE * 2) + data[44:]
    assert read_reference(folder, base64.b64encode(promised).decode(), "").seconds == pytest.approx(5)


def test_the_sample_is_four_seconds_at_16_khz() -> None:
    info = soundfile.info(Settings.from_env({}).voices / "examples" / "sample.wav")
    assert (info.samplerate, info.channels) == (16000, 1)
    assert 3 < info.duration < 5
