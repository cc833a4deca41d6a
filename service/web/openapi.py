"""The OpenAPI description of the API: the exact allowed values, and the error responses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.audio.reference import prompt_names
from service.fields import SEED
from service.formats import MEDIA_TYPES, STREAMED
from service.synthesis.speech import Speech

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
    400: "The body is not JSON.",
    401: "The API key is missing or unknown.",
    413: "The body is too large.",
    415: "The content type is not JSON.",
    422: "A field is missing, unknown or out of range; the message names it.",
    429: "The queue is full, or the client has reached a rate limit; Retry-After is the delay before a retry.",
    503: "No model is ready, or this release is being replaced; Retry-After is the delay before a retry.",
    504: "The synthesis did not finish before its deadline.",
}

AUDIO: dict[str, Any] = {
    "description": "The speech.",
    "content": {media: {} for media in (*sorted({form.partition(";")[0] for form in MEDIA_TYPES.values()}),
                                        "text/event-stream")},
    "headers": {
        "X-Sample-Rate": {"schema": {"type": "string"}, "description": "Sample rate in Hz."},
        "X-Audio-Duration": {"schema": {"type": "string"}, "description": "Seconds of audio; only of complete files."},
        "X-Realtime-Factor": {
            "schema": {"type": "string"},
            "description": "Seconds of inference per second of speech; only of complete files.",
        },
        "X-Text-Dropped": {
            "schema": {"type": "string"},
            "description": "Characters of the text that were left out: counts by kind, and the first names.",
        },
    },
}  # fmt: skip


def _refusals(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


REFUSED = _refusals([401])


def synthesis_responses(success: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a synthesis route; `success` is the success response if FastAPI cannot derive it."""
    good: dict[int | str, dict[str, Any]] = {200: success} if success else {}
    return good | _refusals(_REASONS)


def speech_fields(speech: Speech, model_names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the allowed values of SpeechBody's fields, which depend on this process."""
    about = speech.engine.describe()
    nothing = {"anyOf": [{"type": "null"}]}
    fields: dict[str, dict[str, Any]] = {
        "input": _text(speech),
        "voice": {"anyOf": [{"enum": [voice.id for voice in speech.voices], "type": "string"}, {"type": "null"}]},
        "model": {"anyOf": [{"enum": [about.model, *model_names], "type": "string"}, {"type": "null"}]},
        "seed": {"anyOf": [{"type": "integer", "minimum": SEED[0], "maximum": SEED[1]}, {"type": "null"}]},
    }
    if not about.seeds:
        fields["seed"] = nothing
    if not about.speeds:
        fields["speed"] = {"minimum": 1, "maximum": 1}
    if not about.prompts:
        fields |= {"ref_audio": nothing, "ref_text": nothing}
    return fields


def predict_fields(speech: Speech, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the allowed values of PredictBody's field: `data` as [prompt_audio, prompt_text, text]."""
    audio = {"enum": [None, "", *prompt_names(folder)]}
    transcript = {"type": ["string", "null"], "maxLength": speech.max_chars}
    text = {"type": "string"} | _text(speech)
    return {"data": {"prefixItems": [audio, transcript, text], "items": False}}


def _text(speech: Speech) -> dict[str, Any]:
    return {"minLength": 1, "maxLength": speech.max_chars}


def restrict_streamed_formats(described: dict[str, Any]) -> None:
    """Add to a route's description that stream_format is valid only with some formats."""
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    schema["anyOf"] = [
        {"properties": {"response_format": {"enum": list(STREAMED)}}},
        {"properties": {"stream_format": {"type": "null"}}},
    ]


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
