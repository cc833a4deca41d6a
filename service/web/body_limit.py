"""Size limit of request bodies: what a valid request of the route can need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TooLargeError, respond

MAX_BODY = 25 * 1024 * 1024
"""Bytes of a body with a recording, and of an upload of the page."""

_FIELDS = 64 * 1024
_CHARACTER = 16  # bytes: JSON escapes a character as up to 12, and fields other than the text have some as well
_UPLOAD = "/gradio_api/upload"
_SPEECH = "/audio/speech"
_DIGITS = 18  # of a Content-Length; Python refuses to parse thousands

# A client that is still sending when it is rejected gets a connection reset instead of the reason. So its data is read
# and dropped for a while.
_LINGER_BYTES, _LINGER_S = 4 * MAX_BODY, 10.0


class BodyLimits(NamedTuple):
    """Limits of a body in bytes: the longest string that is parsed, all that is parsed, and the whole."""

    string: int
    parsed: int
    whole: int


def body_limits(path: str, max_chars: int, *, prompts: bool) -> BodyLimits:
    """Return the limits of a path for texts of `max_chars` characters; `prompts`: speech requests have recordings."""
    string = _FIELDS + _CHARACTER * max_chars
    parsed = string + _FIELDS
    recordings = path.startswith(_UPLOAD) or (prompts and _SPEECH in path)
    return BodyLimits(string, parsed, max(MAX_BODY, parsed) if recordings else parsed)


class BodyLimit:
    """Middleware that rejects larger bodies with 413, with or without a Content-Length."""

    def __init__(self, app: ASGIApp, max_chars: int, prompts: Callable[[], bool]) -> None:
        self.app = app
        self.max_chars = max_chars
        self.prompts = prompts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        limits = scope["body_limits"] = body_limits(scope["path"], self.max_chars, prompts=self.prompts())
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        refused = announced.isdigit() and int(announced[:_DIGITS]) > limits.whole
        received, ended = 0, False

        async def limited() -> Message:
            nonlocal received, refused, ended
            message = await receive()
            ended = not message.get("more_body", False)
            received += len(message.get("body", b""))
            refused = refused or received > limits.whole
            # The application sees a disconnect; its response is dropped.
            return {"type": "http.disconnect"} if refused else message

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        if not refused:
            try:
                await self.app(scope, limited, unless_refused)
            except Exception:
                if not refused:
                    raise
        if refused:
            # A client with Expect sends its body only on request.
            if (received or b"expect" not in headers) and not ended:
                await _linger(receive, received)
            refusal = TooLargeError(f"the body has more than {limits.whole} bytes, the most that this route needs")
            await respond(refusal)(scope, receive, send)


async def _linger(receive: Receive, received: int) -> None:
    """Read and drop what a rejected client still sends, within limits."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while received < _LINGER_BYTES:
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
