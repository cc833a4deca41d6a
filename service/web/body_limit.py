"""Size limit of request bodies."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TooLargeError, respond

MAX_BODY = 25 * 1024 * 1024
# A client that is still sending when it is rejected gets a connection reset instead of the reason. So its data is read
# and dropped for a while.
_LINGER_BYTES, _LINGER_S = 4 * MAX_BODY, 10.0


class BodyLimit:
    """Middleware that rejects bodies over `limit` bytes with 413, with or without a Content-Length."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        refused = announced.isdigit() and int(announced) > self.limit
        received, ended = 0, False

        async def limited() -> Message:
            nonlocal received, refused, ended
            message = await receive()
            ended = not message.get("more_body", False)
            received += len(message.get("body", b""))
            refused = refused or received > self.limit
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
            refusal = TooLargeError(f"the body has more than {self.limit} bytes")
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
