"""The request body of /v1/audio/speech, as OpenAI's clients and those of similar services send it. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from service.errors import InvalidError
from service.fields import nearest, quote
from service.formats import LENGTH_IN_HEADER, Format
from service.large_text import LargeText

DEFAULT_FORMAT: Format = get_args(Format)[0]

# An empty string in these means "not given": forms send it for fields left empty.
_OPTIONAL_TEXTS = ("voice", "model", "response_format", "stream_format", "speed", "seed", "stream", "strict")
# Templates of low-code tools send numbers and truth values as text.
SCALARS = ("speed", "seed", "stream", "strict")
"""Fields that are numbers or truth values, and may be text."""
_MAX_SCALAR = 32
_MAX_NAMED, _MAX_NAME = 20, 40


class SpeechBody(BaseModel):
    """Request body with OpenAI's fields. null means "not given"; `ignored` names the fields without an effect."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    input: str = Field(
        description="Text to synthesize in the voice's language; may have Markdown, HTML, SSML, numbers and signs."
    )
    model: str | None = Field(None, description="A name from /v1/models; all select the one loaded model.")
    voice: str | None = Field(
        None,
        description='An ID from /v1/audio/voices or a name of an OpenAI voice, also as {"id": ...}; default: the first '
        "voice of the list.",
    )
    response_format: Format | None = Field(
        None, description="Default: mp3. pcm: 16-bit little-endian mono at 24 kHz; opus: in Ogg; aac: in ADTS."
    )
    speed: float | None = Field(
        None, description="Speaking rate: 2.0 is twice as fast. Rejected if the engine has a fixed rate."
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None,
        description="audio: stream sentence by sentence. sse: the same as server-sent events (speech.audio.delta with "
        "the next bytes in base64, finally speech.audio.done with the usage; error after a failure).",
    )
    stream: bool | None = Field(
        None,
        description="true: stream, as stream_format audio. false: one complete response with its duration. Default: "
        "wav and flac complete, since their header states the length; other formats streamed.",
    )
    seed: int | None = Field(
        None,
        description="The same seed, text, voice and speed give the same audio from the same release on the same "
        "machine. Rejected if the engine does not support seeds.",
    )
    ref_audio: LargeText | None = Field(
        None,
        description="Recording of the voice to clone, 3 to 10 s of wav, flac, ogg, aiff or mp3: in base64, as a data: "
        "URL, or the name of a file in the voices folder. Rejected if the engine does not support voice cloning.",
    )
    ref_text: str | None = Field(None, description="Transcript of ref_audio.")
    strict: bool | None = Field(
        None,
        description="true: reject fields that would be ignored or changed, and characters that would be left out. "
        "Default: the setting TTS_STRICT.",
    )
    _changed: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: ModelWrapValidatorHandler[SpeechBody]) -> SpeechBody:
        fields, changed = normalized(value)
        body = handler(fields)
        body._changed = changed
        return body

    @property
    def form(self) -> Format:
        """The audio format."""
        return self.response_format or DEFAULT_FORMAT

    @property
    def streamed(self) -> bool:
        """Whether the response starts before the speech is complete."""
        if self.stream_format:
            return True
        return self.form not in LENGTH_IN_HEADER if self.stream is None else self.stream

    @property
    def ignored(self) -> list[str]:
        """Names of given fields that have no effect."""
        return list(self.model_extra or ())

    def check_strict(self) -> None:
        """Raise InvalidError if a field would be ignored or changed."""
        known = list(type(self).model_fields)
        if self.ignored:
            name = self.ignored[0][:_MAX_NAME]
            message = f"field {quote(name)} has no effect; fields are {', '.join(known)}.{nearest(name, known)}"
            raise InvalidError(message, code="unknown_field", param=name)
        for name, new in self._changed.items():
            message = f"{name} is text; send {json.dumps(new)} without quotes"
            raise InvalidError(message, code="invalid_type", param=name)

    def notes(self) -> dict[str, str]:
        """Return the headers that name what was ignored or changed."""
        changed = [f"{name}={json.dumps(new)}" for name, new in self._changed.items()]
        notes = {"X-Ignored-Fields": _listed(self.ignored), "X-Changed-Fields": ", ".join(changed)}
        return {name: text for name, text in notes.items() if text}


def normalized(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the given fields, and those among them that were text and became numbers or truth values."""
    voice = value.get("voice")
    if isinstance(voice, dict) and "id" in voice:
        value = value | {"voice": voice["id"]}
    fields = {
        name: field
        for name, field in value.items()
        if field is not None and not (field == "" and name in _OPTIONAL_TEXTS)
    }
    changed = {name: _scalar(fields[name]) for name in SCALARS if isinstance(fields.get(name), str)}
    changed = {name: new for name, new in changed.items() if new is not None}
    if isinstance(seed := fields.get("seed"), float) and seed.is_integer():
        fields["seed"] = int(seed)  # JSON has one kind of number
    return fields | changed, changed


def _scalar(text: str) -> float | bool | None:
    """Return the number or truth value that `text` spells, or None."""
    try:
        value = json.loads(text.strip().lower()) if len(text) <= _MAX_SCALAR else None
    except ValueError:
        return None
    return value if isinstance(value, int | float) else None


def _listed(names: Iterable[str]) -> str:
    """Return names for a header: printable ASCII without separators, and bounded."""
    names = list(names)
    safe = [re.sub(r"[^A-Za-z0-9_.-]", "?", name[:_MAX_NAME]) or "?" for name in names[:_MAX_NAMED]]
    more = len(names) - len(safe)
    return ", ".join(safe) + (f" and {more} more" if more else "")
