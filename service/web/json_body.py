"""Parse a JSON body into a model, with one clear message for any error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from service.errors import ClientGoneError, InvalidError, NotJsonError
from service.fields import nearest, quote
from service.large_text import LargeText
from service.threads import untrusted
from service.web.body_limit import BodyLimits
from service.web.bounded_json import BoundedJson

M = TypeVar("M", bound=BaseModel)

_STEP = 64 * 1024  # bytes between which other requests get their turn
_MAX_LISTED = 5

BATCH_HEADER = {
    "name": "X-TTS-Class",
    "in": "header",
    "schema": {"type": "string", "examples": ["batch"]},
    "description": "batch marks a low-priority request: other requests come first, and its queue is smaller (429 with "
    "Retry-After). While a release is being replaced, it may get 503 with Retry-After and the code "
    '"draining": retry it, and the new release responds.',
}


def json_body(model: type[BaseModel], known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI description of a route that reads `model`; `known` refines its fields."""
    schema = model.model_json_schema()
    for name, more in known.items():
        schema["properties"][name] |= more
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}, "parameters": [BATCH_HEADER]}


async def read_json(request: Request, model: type[M]) -> M:
    """Read and check the request's body; raise NotJsonError, BadJsonError or InvalidError."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise NotJsonError(f"Content-Type must be application/json, not {quote(content_type)}", param="Content-Type")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        message = f"the body has Content-Encoding {quote(encoding)}, which the service does not decode; send plain JSON"
        raise NotJsonError(message, code="unsupported_content_encoding", param="Content-Encoding")
    body = await _received(request)
    value = body.value() if body.small else await untrusted(body.value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        described = [_describe(problem, list(model.model_fields)) for problem in problems[:_MAX_LISTED]]
        more = [f"{len(problems) - _MAX_LISTED} more problems"] if len(problems) > _MAX_LISTED else []
        message = "; ".join(described + more)
        raise InvalidError(message, code=problems[0]["type"], param=_field(problems[0])) from None


async def _received(request: Request) -> BoundedJson:
    limits: BodyLimits = request.scope["body_limits"]
    body = BoundedJson(limits.string, limits.parsed)
    try:
        async for part in request.stream():
            for start in range(0, len(part), _STEP):
                body.feed(part[start : start + _STEP])
                await asyncio.sleep(0)
    except ClientDisconnect:
        raise ClientGoneError("the client disconnected while it was sending") from None
    return body


def _field(problem: ErrorDetails) -> str:
    """Return data[0] for ("data", 0)."""
    first, *rest = problem["loc"] or ("body",)
    return str(first)[:60] + "".join(f"[{part}]" for part in rest)[:60]


def _describe(problem: ErrorDetails, fields: list[str]) -> str:
    """Describe one problem: the field, the value, the allowed values."""
    name = _field(problem)
    if isinstance(problem["input"], LargeText):
        return f"{name} has {problem['input'].size} bytes, which is too long"
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        return f"unknown field {quote(name)}; fields are {', '.join(fields)}.{nearest(name, fields)}"
    return f"{name} is {quote(problem['input'])}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
