"""Recordings of every kind: the service, its voices folder and the batch client's check reach the same verdict."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batch.tasks.prompts import Prompts
from service.audio.reference import read_recording, read_reference
from service.engine import VoiceReference
from service.errors import InvalidError
from service.large_text import LargeText
from service.taskfile.tasks import BadLineError

RATE = 24000
LEVEL = 0.25


def tone(seconds: float = 4, rate: int = RATE) -> Any:
    return LEVEL * np.sin(2 * np.pi * 200 * np.arange(int(seconds * rate)) / rate)


def file(samples: Any = None, rate: int = RATE, form: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(rate=rate) if samples is None else samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def channels(*factors: float) -> Any:
    return np.stack([tone() * factor for factor in factors], axis=1)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WAV of these chunks, padded to even sizes."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


FORMAT = b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
LIST = b"LIST", b"INFOIART\x06\0\0\0abcde\0"
DATA = b"data", (tone() * 32767).astype("<i2").tobytes()


def sizes(value: bytes) -> bytes:
    """Return a WAV whose sizes are `value`, as recorders leave it that stream or crash."""
    content = bytearray(riff(FORMAT, DATA))
    content[4:8] = content[40:44] = value
    return bytes(content)


def mp3(rate: int, second: int | None = None) -> bytes:
    """Return an MP3 from its first frame on; `second` replaces the second byte of that frame's header."""
    content = file(rate=rate, form="MP3")
    start = next(at for at in range(len(content)) if content[at] == 0xFF and content[at + 1] & 0xE0 == 0xE0)
    assert content[start + 1] == 0xFB if rate >= 32000 else content[start + 1] in (0xF3, 0xE3)
    frames = bytearray(content[start:])
    if second is not None:
        frames[1] = second
    return bytes(frames)


def with_nan() -> Any:
    samples = tone()
    samples[1000] = np.nan
    return samples


GOOD: dict[str, Callable[[], bytes]] = {
    "16 bit": lambda: file(subtype="PCM_16"),
    "24 bit": lambda: file(subtype="PCM_24"),
    "32 bit": lambda: file(subtype="PCM_32"),
    "8 bit": lambda: file(rate=8000, subtype="PCM_U8"),
    "float32": lambda: file(subtype="FLOAT"),
    "float64": lambda: file(rate=48000, subtype="DOUBLE"),
    "mu-law": lambda: file(rate=8000, subtype="ULAW"),
    "A-law": lambda: file(rate=8000, subtype="ALAW"),
    "ADPCM": lambda: file(subtype="MS_ADPCM"),
    "extensible": lambda: file(form="WAVEX", subtype="PCM_24"),
    "RF64": lambda: file(form="RF64", subtype="PCM_16"),
    "4 kHz": lambda: file(rate=4000),
    "192 kHz": lambda: file(rate=192_000, subtype="PCM_24"),
    "stereo": lambda: file(channels(1, 1)),
    "one silent channel": lambda: file(channels(0, 1)),
    "out of phase": lambda: file(channels(1, -1)),
    "six channels": lambda: file(channels(1, 1, 1, 0, 1, 1)),
    "a float file beyond full scale": lambda: file(tone() * 8, subtype="FLOAT"),
    "clipped": lambda: file(np.clip(tone() * 40, -1, 1)),
    "other chunks first, one of odd size": lambda: riff(
        (b"LIST", b"INFOIART\x06\0\0\0abcde\0"), (b"junk", b"odd"), FORMAT, DATA
    ),
    "bytes after the end": lambda: riff(FORMAT, DATA) + b"trailing",
    "sizes of a stream": lambda: sizes(b"\xff" * 4),
    "FLAC": lambda: file(form="FLAC"),
    "Ogg Vorbis": lambda: file(form="OGG", subtype="VORBIS"),
    "Ogg Opus": lambda: file(form="OGG", subtype="OPUS"),
    "AIFF": lambda: file(form="AIFF"),
    "MP3 at 44 kHz": lambda: mp3(44100),
    "MP3 at 22 kHz": lambda: mp3(22050),
    "MP3 at 8 kHz": lambda: mp3(8000),
    "MP3 with a tag": lambda: b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10 + mp3(44100),
    "MP3 that begins FF FA": lambda: mp3(44100, 0xFA),
}

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "silent": (lambda: file(tone() * 0), "is silent"),
    "nearly silent": (lambda: file(1e-5 * np.random.default_rng(1).standard_normal(4 * RATE)), "is silent"),
    "silent in float": (lambda: file(tone() * 1e-4, subtype="FLOAT"), "is silent"),
    "NaN": (lambda: file(with_nan(), subtype="FLOAT"), "not finite numbers"),
    "infinite": (lambda: file(np.append(tone(), np.inf), subtype="DOUBLE"), "not finite numbers"),
    "short": (lambda: file(tone(2.99)), "lasts 2.99 s; it must last 3 to 10 s"),
    "long": (lambda: file(tone(10.1)), "lasts 10.10 s; it must last 3 to 10 s"),
    "longer than a stream's": (lambda: sizes(b"\xff" * 4) + DATA[1] * 2, "lasts 12.00 s"),
    "cut": (lambda: file()[: RATE * 4], "lasts 2.00 s"),
    "no samples": (lambda: file(tone(0)), "lasts 0.00 s"),
    "sizes of a crash": (lambda: sizes(b"\0" * 4), "lasts 0.00 s"),
    "nothing": (lambda: b"", "is not readable audio"),
    "a header alone": (lambda: file()[:20], "is not readable audio"),
    "text": (lambda: b"root:x:0:0:root:/root:/bin/sh\n" * 100, "is not readable audio"),
    "nine channels": (lambda: file(channels(*[1.0] * 9)), "at most 8 channels"),
    "3999 Hz": (lambda: file(rate=3999), "at 4000 to 192000 Hz"),
    "384 kHz": (lambda: file(rate=384_000), "at 4000 to 192000 Hz"),
    "M4A": (lambda: b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + b"\0" * 4096, "is an MP4 or M4A file; send wav, flac"),
    "WebM": (lambda: b"\x1a\x45\xdf\xa3" + b"\0" * 4096, "is a WebM or Matroska file; send wav, flac"),
    "a container that nobody sends": (lambda: file(form="VOC"), "is voc with 1 channels at 24000 Hz; send wav, flac"),
}


def verdicts(folder: Path, content: bytes) -> list[str]:
    """Return why each reader refuses a recording; "" if it takes it."""
    (folder / "voice.wav").write_bytes(content)
    readers: list[tuple[Callable[[], object], str]] = [
        (lambda: read_reference(folder, base64.b64encode(content).decode(), ""), "ref_audio "),
        (lambda: read_recording(folder, "voice.wav", "wav", ""), "wav "),
        (lambda: Prompts(folder).digest("voice.wav"), 'prompt_audio "voice.wav" '),
    ]
    found = []
    for read, name in readers:
        try:
            read()
            found.append("")
        except (InvalidError, BadLineError) as error:
            found.append(str(error).removeprefix(name))
    return found


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_recording_is_accepted_by_all_and_heard(tmp_path: Path, make: Callable[[], bytes]) -> None:
    content = make()
    assert verdicts(tmp_path, content) == ["", "", ""]
    heard = read_reference(tmp_path, base64.b64encode(content).decode(), "")
    assert heard.seconds == pytest.approx(4, abs=0.1)
    assert 0.05 < np.sqrt(np.mean((heard.samples / 32768.0) ** 2)) < 1, "the level is lost"


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_a_recording_is_refused_by_all_with_the_same_reason(
    tmp_path: Path, make: Callable[[], bytes], reason: str
) -> None:
    found = verdicts(tmp_path, make())
    assert reason in found[0]
    assert found == [found[0]] * 3


def test_channels_are_mixed(tmp_path: Path) -> None:
    content = file(channels(1, 0.5))
    heard = read_reference(tmp_path, base64.b64encode(content).decode(), "")
    assert abs(heard.samples).max() == pytest.approx(0.75 * LEVEL * 32767, rel=0.01)


PLAIN = base64.b64encode(file(rate=8000)).decode()
FORMS = {
    "line breaks": "\r\n".join(PLAIN[start : start + 76] for start in range(0, len(PLAIN), 76)),
    "for URLs, without padding": PLAIN.translate(str.maketrans("+/", "-_")).rstrip("="),
    "a data: URL": f"data:audio/wav;base64,{PLAIN}",
    "a data: URL of another type": f"DATA:audio/vnd.wave;codecs=1;base64,{PLAIN}",
    "a data: URL without a type": f"data:;base64,{PLAIN}",
    "spaces around": f"\n {PLAIN}\n",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_base64_is_read_as_clients_write_it(tmp_path: Path, form: str) -> None:
    expected = read_reference(tmp_path, PLAIN, "").samples
    for part in (1 << 16, 1000, 997):
        assert np.array_equal(read_reference(tmp_path, split(form, part), "").samples, expected)


@pytest.mark.parametrize("escape", [("/", "\\/"), ("+", "\\u002B"), ("A", "\\u0041")])
def test_base64_with_escapes_is_read_wherever_it_is_split(tmp_path: Path, escape: tuple[str, str]) -> None:
    expected = read_reference(tmp_path, PLAIN, "").samples
    escaped = PLAIN.replace(*escape).encode()
    for size in (5, 6, 7, 1000):
        parts = [escaped[start : start + size] for start in range(0, len(escaped), size)]
        heard: VoiceReference = read_reference(tmp_path, LargeText(parts), "")
        assert np.array_equal(heard.samples, expected)


def split(text: str, size: int) -> LargeText:
    raw = json.dumps(text)[1:-1].encode()
    return LargeText([raw[start : start + size] for start in range(0, len(raw), size)])


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        ("data:audio/wav,abc", "a data: URL without ;base64"),
        (f"{PLAIN[:-8]}A", "neither base64 nor a file name"),
        (f"{PLAIN[:4000]}=={PLAIN[4000:]}", "neither base64 nor a file name"),
        (PLAIN.replace("A", "!"), "neither base64 nor a file name"),
        ("http://host/a.wav", "not the name of a file"),
        ("data:audio/wav;base64,", "not readable audio"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, audio: str, reason: str) -> None:
    with pytest.raises(InvalidError, match=reason):
        read_reference(tmp_path, audio, "")
