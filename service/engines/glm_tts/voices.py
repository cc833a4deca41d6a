"""Parser of the voices file.

One voice per line, as JSON with `name`, `wav` (relative to the file), `transcript` and `language`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.audio.reference import read_recording
from service.engine import Voice, VoiceReference
from service.errors import InvalidError
from service.fields import nearest, quote
from service.text import reading

FIELDS = ("name", "wav", "transcript", "language")
LANGUAGES = ("zh", "en")
"""Languages of a voice: `zh` (the default) reads Chinese and English, `en` English alone."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_BYTES = 1_000_000
_MAX_TRANSCRIPT = 500


@dataclass(frozen=True, eq=False)
class RecordedVoice:
    """A voice and its reference recording."""

    voice: Voice
    prompt: VoiceReference


class VoiceListError(Exception):
    """A line of the file is invalid; the message states the reason."""


def read(path: Path) -> tuple[list[RecordedVoice], list[str]]:
    """Return the voices of the file at `path` in its order, and a line for each problem. Blocking: it decodes audio."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1).decode()
    except OSError as error:
        return [], [f"cannot read the voices file {path}: {error.strerror}; write one line per voice, for example "
                    '{"name": "anna", "wav": "anna.wav", "transcript": "The words of the recording."}']  # fmt: skip
    except UnicodeDecodeError:
        return [], [f"the voices file {path} is not UTF-8"]
    if len(content) > _MAX_BYTES:
        return [], [f"the voices file {path} has more than {_MAX_BYTES} bytes"]
    found: dict[str, RecordedVoice] = {}
    problems = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        fields: Any = None
        try:
            fields = _fields(line)
            recorded = _recorded(path.parent, fields)
            if recorded.voice.id in found:
                raise VoiceListError("a line above has the same name")
            found[recorded.voice.id] = recorded
        except VoiceListError as error:
            name = f" ({quote(fields['name'])})" if fields and "name" in fields else ""
            problems.append(f"{path.name} line {number}{name}: {error}")
    if not found and not problems:
        problems.append(f"the voices file {path} has no voices")
    return list(found.values()), problems


def _fields(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise VoiceListError(f"it is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise VoiceListError("it is not a JSON object")
    return fields


def _recorded(folder: Path, fields: dict[str, Any]) -> RecordedVoice:
    problems = [f"unknown field {quote(name)}.{nearest(name, list(FIELDS))}" for name in fields if name not in FIELDS]
    values = {"language": LANGUAGES[0], **fields}
    for name in FIELDS:
        value = values.get(name)
        if not isinstance(value, str) or not value.strip():
            problems.append(f"{name} must be a text, not {quote(value)}" if name in values else f"{name} is missing")
    if problems:
        raise VoiceListError("; ".join(problems))
    if not _NAME.fullmatch(values["name"]):
        raise VoiceListError("name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    if values["language"] not in LANGUAGES:
        raise VoiceListError(f"language must be {' or '.join(LANGUAGES)}, not {quote(values['language'])}")
    try:
        transcript = reading.read(
            values["transcript"], values["language"], max_chars=_MAX_TRANSCRIPT, normalizes=True
        ).text
        prompt = read_recording(folder, values["wav"], "wav", transcript)
    except reading.TextError as error:
        raise VoiceListError(f"transcript {error}") from None
    except InvalidError as error:
        raise VoiceListError(error.message) from None
    return RecordedVoice(Voice(values["name"], values["name"], values["language"]), prompt)
