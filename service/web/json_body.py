"""Parse a JSON body into a model, with one clear message for any error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from service.errors import BadJsonError, ClientGoneError, InvalidError, NotJsonError
from service.fields import nearest, quote

M = TypeVar("M", bound=BaseModel)


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
    """Read and check the request's body; raise NotJsonError, BadJsonError, TooLargeError or InvalidError."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise NotJsonError(f"Content-Type must be application/json, not {quote(content_type)}", param="Content-Type")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        message = f"the body has Content-Encoding {quote(encoding)}, which the service does not decode; send plain JSON"
        raise NotJsonError(message, code="unsupported_content_encoding", param="Content-Encoding")
    try:
        raw = await request.body()
    except ClientDisconnect:
        raise ClientGoneError("the client disconnected while it was sending") from None
    try:
        value = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadJsonError(f"the body is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise InvalidError("the body must be a JSON object", code="invalid_type")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        message = "; ".join(_describe(problem, list(model.model_fields)) for problem in problems)
        raise InvalidError(message, code=problems[0]["type"], param=_field(problems[0])) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _field(problem: ErrorDetails) -> str:
    """Return data[0] for ("data", 0)."""
    first, *rest = problem["loc"] or ("body",)
    return str(first)[:60] + "".join(f"[{part}]" for part in rest)


def _describe(problem: ErrorDetails, fields: list[str]) -> str:
    """Describe one problem: the field, the value, the allowed values."""
    name = _field(problem)
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        return f"unknown field {quote(name)}; fields are {', '.join(fields)}.{nearest(name, fields)}"
    return f"{name} is {quote(problem['input'])}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
