from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from harness.decoding import decoded
from service import formats
from service.audio.encoding import Encoder, encode, encoded_rate, seconds, wav_header
from service.audio.reference import find_prompt, read_prompt, read_reference
from service.audio.resample import Resampler, resample
from service.engine import Audio
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


def samples_of(content: bytes, form: str) -> tuple[NDArray[np.float32], int]:
    """Decode by FFmpeg, and Opus by libsndfile, since FFmpeg decodes it at 48 kHz."""
    if form != "opus":
        return decoded(content)
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    return samples * np.float32(32768), rate


def sound(rate: int) -> Audio:
    """Two seconds of a tone that swells, so that a shift would show."""
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    return (8000 * tone * np.linspace(0, 1, tone.size)).astype(np.int16)


# Samples by which an encoder delays the speech; the others tell the reader, who removes them.
DELAYS = {"mp3": 1105, "aac": 1024}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus", "aac"])
@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100])
def test_every_format_decodes_to_the_same_length_and_sound(form: str, rate: int, whole: bool) -> None:
    samples = sound(rate)
    encoder = Encoder(form, rate, whole=whole)
    pieces = [samples[:99], samples[99:rate], samples[rate:]]
    found, found_rate = samples_of(b"".join([*map(encoder.add, pieces), encoder.end()]), form)
    assert found_rate == encoder.sample_rate == encoded_rate(rate, form)
    delay = DELAYS.get(form, 0)
    assert delay <= found.size - delay - 2 * found_rate + delay <= 3 * delay
    expected = resample(samples, rate, found_rate).astype(float)
    found = found[delay:][: expected.size]
    middle = slice(found_rate // 2, -found_rate // 20)
    assert np.corrcoef(found[middle], expected[middle])[0, 1] > 0.99, "the audio is shifted or distorted"
    # LAME lowers the level by 5 % against clipping.
    assert np.std(found[middle]) == pytest.approx(np.std(expected[middle]), rel=0.06)


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_each_sentence_is_encoded_before_the_next_one(form: str) -> None:
    sentence = sound(RATE)
    encoder = Encoder(form, RATE)
    for number in range(1, 4):
        before = encoder.add(sentence)
        assert len(before) > 0.9 * len(encode([sentence], RATE, form)), f"sentence {number} waits for the next one"


@pytest.mark.parametrize("form", ["mp3", "aac"])
def test_joined_files_play_to_the_end(form: str) -> None:
    files = [encode([sound(RATE)], RATE, form) for _ in range(3)]
    samples, rate = samples_of(b"".join(files), form)
    assert 6.0 < samples.size / rate < 6.5
    assert b"Xing" not in files[0]
    assert b"Info" not in files[0]
    assert not files[0].startswith(b"ID3")


def test_an_mp3_has_a_constant_bit_rate() -> None:
    quiet, loud = (len(encode([samples], 24000, "mp3")) for samples in (np.zeros(48000, np.int16), sound(24000)))
    assert quiet == loud
    assert loud * 8 / 2.06 == pytest.approx(64_000, rel=0.03)


def test_a_whole_flac_states_its_length_and_a_stream_does_not() -> None:
    whole, stream = (Encoder("flac", RATE, whole=whole) for whole in (True, False))
    samples = sound(RATE)
    assert whole.add(samples) == b""
    contents = (whole.end(), stream.add(samples) + stream.end())
    assert [int.from_bytes(content[18:26]) & (2**36 - 1) for content in contents] == [samples.size, 0]


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_silence_and_tiny_pieces_are_encoded(form: str) -> None:
    encoder = Encoder(form, RATE)
    parts = [encoder.add(np.zeros(size, np.int16)) for size in (0, 1, 0, 7)]
    assert b"".join([*parts, encoder.end()])


@pytest.mark.parametrize(
    ("form", "rate", "expected"),
    [("pcm", 22050, 24000), ("pcm", 32000, 24000), ("opus", 22050, 24000), ("mp3", 22050, 24000), ("mp3", 32000, 32000),
     ("aac", 96000, 48000), ("wav", 9000, 9000), ("flac", 96000, 96000)],
)  # fmt: skip
def test_a_format_without_the_rate_takes_the_next_higher_one(form: str, rate: int, expected: int) -> None:
    assert encoded_rate(rate, form) == expected


@pytest.mark.parametrize(("rate", "target"), [(22050, 24000), (44100, 24000), (24000, 24000)])
def test_resampling_in_pieces_equals_resampling_at_once(rate: int, target: int) -> None:
    samples = sound(rate)
    resampler = Resampler(rate, target)
    pieces = [resampler.add(piece) for piece in np.split(samples, [1, 500, rate])]
    whole = resample(samples, rate, target)
    joined = np.concatenate([*pieces, resampler.end()])
    assert joined.size == whole.size
    assert np.abs(joined.astype(int) - whole).max() <= 1


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


def test_pcm_has_no_header_and_the_rate_of_openai() -> None:
    assert encode(PIECES, 24000, "pcm") == np.concatenate(PIECES).tobytes()
    assert len(encode([np.zeros(RATE, np.int16)], RATE, "pcm")) == 2 * 24000
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
