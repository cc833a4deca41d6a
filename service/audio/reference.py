"""Reference recordings for voice cloning: a file of the voices folder, or audio in the request."""

from __future__ import annotations

import base64
import binascii
import io
import re
from pathlib import Path
from typing import BinaryIO

from service.audio.recording import CONTAINERS, REFERENCE_SECONDS, BadRecordingError, decode
from service.engine import Description, VoiceReference
from service.errors import InvalidError
from service.large_text import LargeText

PROMPT_SECONDS = (0.1, 60.0)

_MAX_LISTED = 100
_MAX_NAME = 4096
_DATA_URL = re.compile(r"\s*data:([^,]{0,200}),", re.IGNORECASE)
_TO_STANDARD = str.maketrans("-_", "+/", " \t\r\n")  # from the alphabet for URLs; without line breaks
_PADDED = 4  # the last characters: the padding belongs to the end
_EXTENSIONS = frozenset(CONTAINERS.values())


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
    found = sorted(path for path in folder.rglob("*") if path.suffix[1:].lower() in _EXTENSIONS)
    return [str(path.relative_to(folder)) for path in found[:_MAX_LISTED]]


def read_prompt(path: Path, param: str, text: str = "") -> VoiceReference:
    """Decode the audio file at `path`; raise InvalidError on failure. Blocking: call it in a thread."""
    return _decode(path, PROMPT_SECONDS, param, text)


def read_reference(folder: Path, audio: str | LargeText, text: str) -> VoiceReference:
    """Return the prompt of `ref_audio` and `ref_text`.

    `ref_audio` is base64, a data: URL, or, if it contains a dot, the name of a file in `folder`. Raise InvalidError
    unless it is a recording of 3 to 10 s. Blocking: call it in a thread.
    """
    audio = LargeText.of(audio)
    name = next(iter(audio), "") if audio.size <= _MAX_NAME else ""
    if "." in name and not _DATA_URL.match(name):
        return read_recording(folder, name, "ref_audio", text)
    return _decode(_from_base64(audio), REFERENCE_SECONDS, "ref_audio", text)


def _from_base64(audio: LargeText) -> BinaryIO:
    """Decode part by part: base64 with either alphabet, line breaks, and with or without padding."""
    content, rest, parts = io.BytesIO(), "", iter(audio)
    try:
        rest = _after_header(next(parts, ""))
        for part in parts:
            rest = _decode_whole(rest, content) + part
        rest = _decode_whole(rest, content).translate(_TO_STANDARD)
        content.write(base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True))
    except (binascii.Error, ValueError):
        message = "ref_audio is neither base64 nor a file name with its extension"
        raise InvalidError(message, code="not_audio", param="ref_audio") from None
    content.seek(0)
    return content


def _decode_whole(text: str, content: BinaryIO) -> str:
    """Decode the groups of four characters at the beginning; return the rest, which the next part may complete."""
    text = text.translate(_TO_STANDARD)
    whole = max(0, (len(text) - _PADDED) // 4 * 4)
    content.write(base64.b64decode(text[:whole], validate=True))
    return text[whole:]


def _after_header(text: str) -> str:
    """Return the content of a data: URL of any media type, or the text itself."""
    url = _DATA_URL.match(text)
    if not url:
        return text
    if not url[1].lower().replace(" ", "").endswith(";base64"):
        raise InvalidError("ref_audio is a data: URL without ;base64", code="not_audio", param="ref_audio")
    return text[url.end() :]


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


def _decode(source: Path | BinaryIO, allowed: tuple[float, float], param: str, text: str) -> VoiceReference:
    try:
        samples, rate = decode(source, allowed)
    except BadRecordingError as error:
        code = "bad_prompt_length" if error.length else "not_audio"
        raise InvalidError(f"{param} {error}", code=code, param=param) from None
    return VoiceReference(samples, rate, text)
