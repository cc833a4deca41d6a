"""The tree of errors with their HTTP status, and their response body in OpenAI's format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.fields import quote
from service.telemetry.record import current_record

_MAX_MESSAGE, _MAX_PARAM = 2000, 120  # characters; a message may quote the request


class ServiceError(Exception):
    """Error with a message for the client. `param` names the invalid field; `retry_after` is in seconds."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"

    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, message: str, *, code: str = "", param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after


class ClientError(ServiceError):
    """The request is invalid; a retry fails again."""

    type = "invalid_request_error"


class BadJsonError(ClientError):
    """400: the body is not valid JSON."""

    status, code = 400, "invalid_json"


class SlowBodyError(ClientError):
    """408: the body arrives too slowly, or not at all."""

    status, code = 408, "timeout"

    headers = MappingProxyType({"Connection": "close"})


class TooLargeError(ClientError):
    """413: the body exceeds the size limit."""

    status, code = 413, "body_too_large"


class NotJsonError(ClientError):
    """415: the content type is not JSON."""

    status, code = 415, "unsupported_media_type"


class UnauthorizedError(ClientError):
    """401: the API key is missing or unknown."""

    status, code = 401, "invalid_api_key"

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": challenge}


class NotFoundError(ClientError):
    """404: what the path names does not exist."""

    status, code = 404, "not_found"


class InvalidError(ClientError):
    """400: a field is missing, unknown or out of range; OpenAI's status for it."""

    status, code = 400, "invalid_value"


class ClientGoneError(ClientError):
    """499: the client has disconnected; only in logs and metrics."""

    status, code = 499, "client_gone"


class QueueFullError(ServiceError):
    """429: the queue is full."""

    status, type, code = 429, "rate_limit_error", "queue_full"


class RateLimitedError(ServiceError):
    """429: the client has reached a rate limit."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class UnavailableError(ServiceError):
    """503: no model is ready, or the service accepts no new requests."""

    status, code = 503, "not_ready"


class DrainingError(UnavailableError):
    """503: this release is being replaced; a retry reaches the new one."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("this release is being replaced; retry the request", retry_after=1)


class StorageFullError(UnavailableError):
    """503: no space for another file of a page's visitor until older files are deleted."""

    code = "no_room"

    def __init__(self) -> None:
        super().__init__("there is no space for another file", retry_after=60)


class DeadlineExceededError(ServiceError):
    """504: the deadline passed before the synthesis finished."""

    status, code = 504, "deadline_exceeded"


def error_body(message: str, error_type: str, code: str, param: str | None) -> bytes:
    """Return the error as JSON in OpenAI's format: {"error": {"message", "type", "code", "param"}}.

    Clients of /api/predict take the word "output" in a body for success, and a message may quote the request. So every
    error of every route spells it "out-put".
    """
    message = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."
    param = param and param[:_MAX_PARAM]
    error: dict[str, Any] = {"message": message, "type": error_type, "code": code, "param": param}
    safe = {key: re.sub("(?i)(out)(put)", r"\1-\2", value) if value else value for key, value in error.items()}
    return json.dumps({"error": safe}).encode()


def respond(error: ServiceError) -> Response:
    """Return the HTTP response of an error."""
    current_record().fail(error.code)
    retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    body = error_body(error.message, error.type, error.code, error.param)
    return Response(body, error.status, {**error.headers, **retry}, media_type="application/json")


def respond_status(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the HTTP response of an error that is not a ServiceError, with its own status."""
    current_record().fail(code)
    error_type = ClientError.type if status < 500 else ServiceError.type
    return Response(error_body(message, error_type, code, None), status, headers, media_type="application/json")


async def on_service_error(_request: Request, error: Exception) -> Response:
    """FastAPI's handler of ServiceError."""
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this class alone
    return respond(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler of Starlette's own errors: unknown path, wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    path = quote(request.url.path)
    match error.status_code:
        case 404:
            code, message = "not_found", f"path {path} does not exist"
        case 405:
            code, message = "method_not_allowed", f"{request.method} is not allowed at {path}"
        case _:
            code, message = "request_refused", str(error.detail)
    return respond_status(error.status_code, message, code, error.headers)


async def on_unexpected(request: Request, _error: Exception) -> Response:
    """FastAPI's handler of all other errors; the middleware logs the traceback."""
    request_id = request.scope.get("request_id", "unknown")
    return respond(ServiceError(f"unexpected error; the service log has the details under request ID {request_id}"))
