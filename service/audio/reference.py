"""Reference recordings for voice cloning: a file of the voices folder, or audio in the request."""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path

import numpy as np
import soundfile

from service.engine import Description, VoiceReference
from service.errors import InvalidError

PROMPT_SECONDS = (0.1, 60.0)
REFERENCE_SECONDS = (3.0, 10.0)

# A few bytes of FLAC can decode to hours of silence. These limits and the seconds above bound the decoded size.
_FORMATS = ("WAV", "WAVEX", "FLAC", "MP3")
_MAX_LISTED = 100
_MAX_RATE, _MAX_CHANNELS = 192_000, 2


def find_prompt(folder: Path, name: str, param: str) -> Path:
    """Return the path of file `name` in `folder`. Raise InvalidError for a URL or a path or link out of the folder."""
    refusal = InvalidError(f"{param} is not the name of a file in the voices folder", code="no_such_audio", param=param)
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # over-long names, NUL bytes, symlink loops
        raise refusal from None
    if not inside or ".." in Path(name).parts or Path(name).is_absolute():
        raise refusal
    return path


def prompt_names(folder: Path) -> list[str]:
    """Return the names of the first hundred audio files in `folder`, for the API description."""
    found = sorted(path for path in folder.rglob("*") if path.suffix[1:].upper() in _FORMATS)
    return [str(path.relative_to(folder)) for path in found[:_MAX_LISTED]]


def read_prompt(path: Path, param: str, text: str = "") -> VoiceReference:
    """Decode the audio file at `path`; raise InvalidError on failure. Blocking: call it in a thread."""
    return _decode(path, PROMPT_SECONDS, param, text)


def read_reference(folder: Path, audio: str, text: str) -> VoiceReference:
    """Return the prompt of `ref_audio` and `ref_text`.

    `ref_audio` is base64 or, if it contains a dot, the name of a file in `folder`. Raise InvalidError unless it is wav,
    flac or mp3 of 3 to 10 s. Blocking: call it in a thread.
    """
    if "." in audio:
        return read_recording(folder, audio, "ref_audio", text)
    try:
        content = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        message = "ref_audio is neither base64 nor a file name with its extension"
        raise InvalidError(message, code="not_audio", param="ref_audio") from None
    return _decode(io.BytesIO(content), REFERENCE_SECONDS, "ref_audio", text)


def read_recording(folder: Path, name: str, param: str, text: str) -> VoiceReference:
    """Return the prompt of a file in `folder`; raises the same errors as read_reference. Blocking."""
    return _decode(find_prompt(folder, name, param), REFERENCE_SECONDS, param, text)


def check_prompt(prompt: VoiceReference, about: Description, audio: str, text: str) -> VoiceReference:
    """Return the prompt, or raise InvalidError if the engine cannot clone it.

    `audio` and `text` are the names of the request's fields for the error message.
    """
    low, high = REFERENCE_SECONDS
    if not low <= prompt.seconds <= high:
        message = f"{audio} lasts {prompt.seconds:.2f} s; voice cloning needs {low:g} to {high:g} s"
        raise InvalidError(message, code="bad_prompt_length", param=audio)
    if about.transcripts and not any(char.isalnum() for char in prompt.text):
        message = f"{text} is missing: engine {about.engine} needs the transcript of {audio}"
        raise InvalidError(message, code="missing", param=text)
    return prompt


def _decode(source: Path | io.BytesIO, allowed: tuple[float, float], param: str, text: str) -> VoiceReference:
    """Decode at most the upper limit of `allowed` (seconds) and mix the channels down to mono."""
    refusal = InvalidError(f"{param} is not readable audio", code="not_audio", param=param)
    low, high = allowed
    try:
        with soundfile.SoundFile(source) as file:
            rate = int(file.samplerate)
            if file.format not in _FORMATS or not 0 < rate <= _MAX_RATE or file.channels > _MAX_CHANNELS:
                formats = "wav, flac or mp3 with at most two channels and 192 kHz"
                raise InvalidError(f"{param} is not {formats}", code="not_audio", param=param)
            duration = file.frames / rate
            if low <= duration <= high:  # according to the header, which may be wrong
                samples = file.read(int(high * rate) + 1, dtype="int16", always_2d=True)
                duration = len(samples) / rate
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        raise refusal from None
    if not low <= duration <= high:
        message = f"{param} lasts {duration:.2f} s; it must last {low:g} to {high:g} s"
        raise InvalidError(message, code="bad_prompt_length", param=param)
    return VoiceReference(samples.mean(axis=1).astype(np.int16), rate, text)
