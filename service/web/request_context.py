"""The outermost middleware: request id, traffic count, log line, and handling of unexpected errors."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import DrainingError, respond
from service.metrics.metrics import Metrics
from service.paths import HEALTH, belongs_to_page
from service.synthesis.in_flight import Class, InFlight, Outcome, TrackedRequest

logger = logging.getLogger("service.access")

_OWN = (b"x-release", b"x-request-id")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass
class _Exchange:
    """One request and its outcome; `item` is its entry in the traffic, where it is counted."""

    request_id: str
    item: TrackedRequest | None
    status: int = 0
    ended: bool = False
    cut: bool = False
    began: float = field(default_factory=time.monotonic)


class RequestContext:
    """Outermost middleware: adds X-Release and X-Request-Id to every response, counts, measures and logs."""

    def __init__(self, app: ASGIApp, release: str, traffic: InFlight, metrics: Metrics) -> None:
        self.app = app
        self.release = release.encode()
        self.traffic = traffic
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # no route uses websockets
                await send({"type": "websocket.close", "code": 1000})
            return
        exchange = _Exchange(_request_id(scope), self._enter(scope))
        scope["request_id"] = exchange.request_id
        recording_send = self._recording_send(exchange, send)
        try:
            await self.app(scope, receive, recording_send)
        except asyncio.CancelledError:
            if not (exchange.item and exchange.item.cut):
                raise
            await _cut(exchange, scope, receive, recording_send)
        except Exception:
            # Once a response has begun, no error can be sent. Returning leaves it incomplete, and the server then
            # closes the connection, which tells the client.
            logger.exception("unexpected error, request id %s", exchange.request_id)
        finally:
            self._finish(exchange, scope)

    def _enter(self, scope: Scope) -> TrackedRequest | None:
        path = scope["path"]
        if path in HEALTH:
            return None
        return self.traffic.enter(scope["method"], dict(scope["headers"]), page=belongs_to_page(path))

    def _recording_send(self, exchange: _Exchange, send: Send) -> Send:
        """Return a `send` that adds the headers and records the kind of the response and its end."""
        own = [(b"x-release", self.release), (b"x-request-id", exchange.request_id.encode())]

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _OWN]
                message["headers"] = headers + own
                events = dict(headers).get(b"content-type", b"").startswith(b"text/event-stream")
                if events and exchange.item and exchange.item.page:  # speech as events ends, a tab's stream does not
                    exchange.item.kind = Class.STREAM
            await send(message)
            exchange.status = message.get("status", exchange.status)
            exchange.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        return recording_send

    def _finish(self, exchange: _Exchange, scope: Scope) -> None:
        item = exchange.item
        if not item:
            return
        took = time.monotonic() - exchange.began
        status = 499 if scope.get("client_gone") else exchange.status or 499
        self.traffic.leave(item, _outcome(exchange, item, status))
        route = scope.get("part") or getattr(scope.get("route"), "path", "unmatched")
        release = self.release.decode()
        self.metrics.requests.labels(route, status, release).inc()
        if item.kind is not Class.STREAM:
            self.metrics.request_seconds.labels(route, release).observe(took)
        # The page loads fifty files; do not log each at INFO.
        level = logging.DEBUG if route == "page" and status < 400 else logging.INFO
        path = _printable(scope["path"])
        logger.log(level, "%s %s %s %.3fs %s", scope["method"], path, status, took, exchange.request_id)


def _outcome(exchange: _Exchange, item: TrackedRequest, status: int) -> Outcome:
    # Gradio does not distinguish an abort of its streams from another end.
    if exchange.cut or (item.cut and item.kind is Class.STREAM):
        return Outcome.CUT
    return Outcome.COMPLETED if exchange.ended and status != 499 else Outcome.UNFINISHED


async def _cut(exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """End an aborted request: 503 with a retry if no response has started, otherwise the response is cut off.

    An event stream is closed.
    """
    if exchange.ended:
        return
    exchange.cut = True
    if task := asyncio.current_task():
        task.uncancel()
    if not exchange.status:
        await respond(DrainingError())(scope, receive, send)
    elif exchange.item and exchange.item.kind is Class.STREAM:
        await send({"type": "http.response.body", "body": b""})


def _printable(path: str) -> str:
    """Return the path escaped, so that it cannot forge a log line."""
    return path.encode("unicode_escape").decode()


def _request_id(scope: Scope) -> str:
    """Return the client's X-Request-Id if it is valid, otherwise a new one."""
    offered = dict(scope["headers"]).get(b"x-request-id", b"")
    return offered.decode() if _SANE_ID.fullmatch(offered) else uuid.uuid4().hex
