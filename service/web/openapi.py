"""The OpenAPI description of the API: the exact allowed values, and the error responses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service import openai_names
from service.audio.reference import prompt_names
from service.fields import SEED
from service.formats import MEDIA_TYPES, Format
from service.synthesis.speech import SPEED, Speech
from service.web.client_names import ClientNames
from service.web.speech_body import SCALARS

_ERROR = {"$ref": "#/components/schemas/Error"}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}
_REASONS = {
    400: "The body is not JSON, or a field is missing or out of range; the message names it.",
    401: "The API key is missing or unknown.",
    413: "The body is too large.",
    415: "The content type is not JSON, or the body is compressed.",
    429: "The queue is full, or the client has reached a rate limit; Retry-After is the delay before a retry.",
    503: "No model is ready, or this release is being replaced; Retry-After is the delay before a retry.",
    504: "The synthesis did not finish before its deadline.",
}

_AUDIO_HEADERS = {
    "X-Sample-Rate": "Sample rate in Hz.",
    "X-Audio-Duration": "Seconds of speech; only of complete responses.",
    "X-Realtime-Factor": "Seconds of inference per second of speech; only of complete responses.",
    "X-Ignored-Fields": "Fields of the body that had no effect.",
    "X-Changed-Fields": "Fields that were text, and the number or truth value that was used.",
    "X-Text-Dropped": "Characters of the text that were left out: counts by kind, and the first names.",
}
AUDIO: dict[str, Any] = {
    "description": "The speech.",
    "content": {media: {} for media in (*sorted({form.partition(";")[0] for form in MEDIA_TYPES.values()}),
                                        "text/event-stream")},
    "headers": {name: {"schema": {"type": "string"}, "description": text} for name, text in _AUDIO_HEADERS.items()},
}  # fmt: skip


def _refusals(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


# Numbers as text.
_NORMAL_SPEED_TEXT = r" *1(\.0+)? *"
_SPEED_TEXT = r" *(0\.(2[5-9]|[3-9])\d*|[123](\.\d+)?|4(\.0+)?) *"
_SEED_TEXT = r" *(0|[1-9]\d{0,8}) *"

REFUSED = _refusals([401])
NOT_GIVEN: dict[str, Any] = {"enum": ["", None]}
"""Schema of an optional field without a value."""
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"description": "The name does not exist.", "content": {"application/json": {"schema": _ERROR}}}
}


def synthesis_responses(success: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a synthesis route; `success` is the success response if FastAPI cannot derive it."""
    good: dict[int | str, dict[str, Any]] = {200: success} if success else {}
    return good | _refusals(_REASONS)


def speech_fields(speech: Speech, names: ClientNames) -> dict[str, dict[str, Any]]:
    """Return the allowed values of SpeechBody's fields, which depend on this process."""
    about = speech.engine.describe()
    voices = {"type": "string", "enum": list(dict.fromkeys([*(voice.id for voice in speech.voices), *names.voices]))}
    as_object = {"type": "object", "properties": {"id": _optional(voices)}, "required": ["id"]}
    models = {"type": "string", "enum": list(dict.fromkeys([about.model, *names.models]))}
    low, high = SPEED if about.speeds else (1, 1)
    dated = f"({'|'.join(map(re.escape, names.models))}){openai_names.DATE.pattern}"
    speed = _SPEED_TEXT if about.speeds else _NORMAL_SPEED_TEXT
    flag = _optional({"type": "boolean"}, {"enum": ["true", "false"]})
    fields: dict[str, dict[str, Any]] = {
        "input": _text(speech),
        "voice": _optional(voices, as_object),
        "model": _optional(models, _text_like(dated)),
        "response_format": _optional({"enum": list(get_args(Format))}),
        "speed": _optional({"type": "number", "minimum": low, "maximum": high}, _text_like(speed)),
        "stream_format": _optional({"enum": ["audio", "sse"]}),
        "stream": flag,
        "seed": _optional({"type": "integer", "minimum": SEED[0], "maximum": SEED[1]}, _text_like(_SEED_TEXT)),
        "strict": flag,
    }
    if not about.seeds:
        fields["seed"] = _optional()
    if not about.prompts:
        nothing = {"anyOf": [{"type": "null"}]}
        fields |= {"ref_audio": nothing, "ref_text": nothing}
    return fields


def _text_like(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _optional(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schemas, NOT_GIVEN]}


def describe_strictness(described: dict[str, Any], *, strict: bool) -> None:
    """Add to a route's description that a strict request has no unknown fields and no numbers as text."""
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    chosen: dict[str, Any] = {"properties": {"strict": {"enum": [False, "false"]}}, "required": ["strict"]}
    lenient = chosen if strict else {"properties": {"strict": {"enum": [False, "false", *NOT_GIVEN["enum"]]}}}
    names: dict[str, dict[str, Any]] = {name: {} for name in schema["properties"]}
    scalars = {name: {"not": {"type": "string", "minLength": 1}} for name in SCALARS}
    schema["anyOf"] = [lenient, {"properties": names | scalars, "additionalProperties": False}]


def predict_fields(speech: Speech, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the allowed values of PredictBody's field: `data` as [prompt_audio, prompt_text, text]."""
    audio = {"enum": [None, "", *prompt_names(folder)]}
    transcript = {"type": ["string", "null"], "maxLength": speech.max_chars}
    text = {"type": "string"} | _text(speech)
    return {"data": {"prefixItems": [audio, transcript, text], "items": False}}


def _text(speech: Speech) -> dict[str, Any]:
    return {"minLength": 1, "maxLength": speech.max_chars}


def describe(app: FastAPI, *, keys: bool) -> dict[str, Any]:
    """Return the OpenAPI description of `app`; `keys`: requests need an API key."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = _ERROR_SCHEMA
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operation in _operations(schema):
            if path.startswith(("/v1/", "/api/")):
                operation["security"] = [{"key": []}]
    app.openapi_schema = schema
    return schema


def _operations(schema: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            yield path, operation
