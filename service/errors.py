"""One tree of errors, each with its HTTP status, and one shape in which they are told (OpenAI's)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.fields import shown


class ServiceError(Exception):
    """Something to tell the client. `param` names the field at fault, `retry_after` is in seconds."""

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
    """The request is at fault; sent again as it is, it fails again."""

    type = "invalid_request_error"


class BadJsonError(ClientError):
    """400: the body cannot be read as JSON."""

    status, code = 400, "invalid_json"


class TooLargeError(ClientError):
    """413: the body is over the limit."""

    status, code = 413, "body_too_large"


class NotJsonError(ClientError):
    """415: the content type is not JSON."""

    status, code = 415, "unsupported_media_type"


class KeyMissingError(ClientError):
    """401: no API key, or none that is known."""

    status, code = 401, "invalid_api_key"

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": challenge}


class InvalidError(ClientError):
    """422: a field is missing, unknown or out of range."""

    status, code = 422, "invalid_value"


class ClientGoneError(ClientError):
    """499: nobody reads the answer any more. Seen only in logs and metrics."""

    status, code = 499, "client_gone"


class BusyError(ServiceError):
    """429: the queue is full."""

    status, type, code = 429, "rate_limit_error", "queue_full"


class LimitError(ServiceError):
    """429: this client has asked for as much as it may."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class UnavailableError(ServiceError):
    """503: no model is ready, or no new work is taken."""

    status, code = 503, "not_ready"


class DrainingError(UnavailableError):
    """503: this release is being replaced; asked again, another one answers."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("this release is being replaced; nothing is wrong with the request: ask again", retry_after=1)


class NoRoomError(UnavailableError):
    """503: what is to be kept for the page's visitors finds no room, until what others have had is cleared away."""

    code = "no_room"

    def __init__(self) -> None:
        super().__init__("there is no room for another file now", retry_after=60)


class LateError(ServiceError):
    """504: the deadline passed before the speech was finished."""

    status, code = 504, "deadline_exceeded"


def error_body(message: str, error_type: str, code: str, param: str | None) -> bytes:
    """The error as JSON in OpenAI's shape: {"error": {"message", "type", "code", "param"}}.

    Clients of /api/predict take the word "output" in a body for success, and a message may repeat what the client
    sent: so it is spelt "out-put" in every error, whichever route it comes from.
    """
    error: dict[str, Any] = {"message": message, "type": error_type, "code": code, "param": param}
    safe = {key: re.sub("(?i)(out)(put)", r"\1-\2", value) if value else value for key, value in error.items()}
    return json.dumps({"error": safe}).encode()


def respond(error: ServiceError) -> Response:
    """The HTTP answer for an error."""
    retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    body = error_body(error.message, error.type, error.code, error.param)
    return Response(body, error.status, {**error.headers, **retry}, media_type="application/json")


def respond_status(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP answer for an error that comes from elsewhere, with its own status."""
    error_type = ClientError.type if status < 500 else ServiceError.type
    return Response(error_body(message, error_type, code, None), status, headers, media_type="application/json")


async def on_service_error(_request: Request, error: Exception) -> Response:
    """FastAPI's handler for ServiceError."""
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this class alone
    return respond(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler for what Starlette raises itself: unknown path, wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    path = shown(request.url.path)
    match error.status_code:
        case 404:
            code, message = "not_found", f"there is nothing at {path}"
        case 405:
            code, message = "method_not_allowed", f"{request.method} is not allowed at {path}"
        case _:
            code, message = "request_refused", str(error.detail)
    return respond_status(error.status_code, message, code, error.headers)


async def on_unexpected(request: Request, _error: Exception) -> Response:
    """FastAPI's handler for everything else; the middleware logs it with its traceback."""
    request_id = request.scope.get("request_id", "unknown")
    return respond(ServiceError(f"unexpected error; the log has it under request id {request_id}"))
