"""What every request passes through: a name for it, a count, a log line, and a net for the unexpected."""

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
from service.synthesis.in_flight import Class, Item, Outcome, Traffic

logger = logging.getLogger("service.access")

_OWN = (b"x-release", b"x-request-id")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass
class _Exchange:
    """One request and what became of it; `item` is its place in the traffic, where it is counted."""

    request_id: str
    item: Item | None
    status: int = 0
    ended: bool = False
    cut: bool = False
    began: float = field(default_factory=time.monotonic)


class RequestContext:
    """The outermost layer: X-Release and X-Request-Id on every answer, counts, metrics, the log line."""

    def __init__(self, app: ASGIApp, release: str, traffic: Traffic, metrics: Metrics) -> None:
        self.app = app
        self.release = release.encode()
        self.traffic = traffic
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # nothing here speaks it
                await send({"type": "websocket.close", "code": 1000})
            return
        exchange = _Exchange(_request_id(scope), self._enter(scope))
        scope["request_id"] = exchange.request_id
        marked = self._marks(exchange, send)
        try:
            await self.app(scope, receive, marked)
        except asyncio.CancelledError:
            if not (exchange.item and exchange.item.cut):
                raise
            await _cut(exchange, scope, receive, marked)
        except Exception:
            # Once an answer has begun nothing can be told any more: returning leaves it unfinished, and the server
            # then cuts the connection, which is how a client knows.
            logger.exception("unexpected error, request id %s", exchange.request_id)
        finally:
            self._finish(exchange, scope)

    def _enter(self, scope: Scope) -> Item | None:
        path = scope["path"]
        if path in HEALTH:
            return None
        return self.traffic.enter(scope["method"], dict(scope["headers"]), page=belongs_to_page(path))

    def _marks(self, exchange: _Exchange, send: Send) -> Send:
        """`send` that adds the headers, and notices what kind of answer it is and whether it has ended."""
        own = [(b"x-release", self.release), (b"x-request-id", exchange.request_id.encode())]

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _OWN]
                message["headers"] = headers + own
                events = dict(headers).get(b"content-type", b"").startswith(b"text/event-stream")
                if events and exchange.item and exchange.item.page:  # speech as events ends by itself, a tab's does not
                    exchange.item.kind = Class.STREAM
            await send(message)
            exchange.status = message.get("status", exchange.status)
            exchange.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        return marked

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
        # A page is fifty files, which nobody asked for one by one.
        level = logging.DEBUG if route == "page" and status < 400 else logging.INFO
        path = _printable(scope["path"])
        logger.log(level, "%s %s %s %.3fs %s", scope["method"], path, status, took, exchange.request_id)


def _outcome(exchange: _Exchange, item: Item, status: int) -> Outcome:
    # Gradio takes the end of its streams as any other end.
    if exchange.cut or (item.cut and item.kind is Class.STREAM):
        return Outcome.CUT
    return Outcome.COMPLETED if exchange.ended and status != 499 else Outcome.UNFINISHED


async def _cut(exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """Tell the client of a request that was cut: to ask again, or, half way out, by an answer that has no end."""
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
    """A path that cannot forge a log line."""
    return path.encode("unicode_escape").decode()


def _request_id(scope: Scope) -> str:
    """The client's own X-Request-Id if it is sane, else a new one."""
    offered = dict(scope["headers"]).get(b"x-request-id", b"")
    return offered.decode() if _SANE_ID.fullmatch(offered) else uuid.uuid4().hex
