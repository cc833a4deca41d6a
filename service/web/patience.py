"""Time limits by progress of a client that sends its body or reads its response: a stalled one costs only itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import SlowBodyError

BODY_S = 20.0
"""Longest time (seconds) for a body, in addition to its size at BODY_RATE."""

BODY_RATE = 4096
"""Bytes per second: the slowest that a large body may arrive."""

READ_S = 120.0
"""Longest time (seconds) that a client may take to read the next part of its response."""


PART = 256 * 1024
"""Largest part of a response (bytes) that is sent at once."""


class StalledReaderError(Exception):
    """The client does not read its response; it ends the request. No handler of the application matches it."""


class Patience:
    """Middleware: a slow body gets 408, and the request of a stalled reader ends."""

    def __init__(self, app: ASGIApp, body_s: float = BODY_S, read_s: float = READ_S) -> None:
        self.app = app
        self.body_s = body_s
        self.read_s = read_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        until, ended = time.monotonic() + self.body_s, False

        async def receive_in_time() -> Message:
            nonlocal until, ended
            if ended:  # from here on it waits for a disconnect
                return await receive()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise SlowBodyError("the body arrives too slowly; send the request again") from None
            until += len(message.get("body", b"")) / BODY_RATE
            ended = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            for part in _parts(message):
                try:
                    async with asyncio.timeout(self.read_s):
                        await send(part)
                except TimeoutError:
                    raise StalledReaderError from None

        try:
            await self.app(scope, receive_in_time, send_in_time)
        except StalledReaderError:
            scope["client_gone"] = True


def _parts(message: Message) -> Iterator[Message]:
    """Yield a large piece of a body in parts: the server would copy what the client has not read yet, all at once."""
    body = message.get("body", b"")
    for start in range(0, len(body) - PART, PART):
        yield {**message, "body": body[start : start + PART], "more_body": True}
    yield {**message, "body": body[(len(body) - 1) // PART * PART :]} if len(body) > PART else message
