"""The outermost middleware: request ID, trace, count, log line, and handling of unexpected errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import DrainingError, ServiceError, respond
from service.metrics.metrics import Metrics
from service.paths import HEALTH, belongs_to_page
from service.synthesis.in_flight import Class, InFlight, Outcome, TrackedRequest
from service.telemetry import trace_context
from service.telemetry.logs import log_access
from service.telemetry.record import CLIENT_GONE, RequestRecord

if TYPE_CHECKING:  # OpenTelemetry is imported only where traces are exported
    from service.telemetry.spans import Spans

logger = logging.getLogger(__name__)

_PATH_CHARS = 300
_OWN = (b"x-release", b"x-request-id", b"traceresponse")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass
class _Exchange:
    """One request and its outcome; `item` is its entry in the traffic, where it is counted."""

    record: RequestRecord
    item: TrackedRequest | None
    ended: bool = False
    cut: bool = False


class RequestContext:
    """Outermost middleware: request IDs, trace context, count, metrics, log line and trace of every request."""

    def __init__(
        self, app: ASGIApp, release: str, traffic: InFlight, metrics: Metrics, spans: Spans | None = None
    ) -> None:
        self.app = app
        self.release = release
        self.traffic = traffic
        self.metrics = metrics
        self.spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # no route uses websockets
                await send({"type": "websocket.close", "code": 1000})
            return
        record = RequestRecord(scope["method"], scope["path"][:_PATH_CHARS], _request_id(scope))
        scope["request_id"] = record.request_id
        with record.bound(), self._traced(scope, record):
            exchange = _Exchange(record, self._enter(scope))
            await self._handle(exchange, scope, receive, self._recording_send(exchange, send))

    async def _handle(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not (exchange.item and exchange.item.cut):
                raise
            await _cut(exchange, scope, receive, send)
        except Exception as error:
            # Once a response has begun, no error can be sent. Returning leaves it incomplete, and the server then
            # closes the connection, which tells the client.
            if isinstance(error.__cause__, ServiceError):  # Starlette wraps an error that it can no longer answer
                logger.warning("the response ended half way: %s", error.__cause__)
            else:
                logger.exception("unexpected error")
        finally:
            self._finish(exchange, scope)

    @contextlib.contextmanager
    def _traced(self, scope: Scope, record: RequestRecord) -> Iterator[None]:
        """Continue the caller's trace: as a span of it where traces are exported, otherwise by its ID alone."""
        caller = trace_context.parse(scope["headers"])
        if not self.spans or scope["path"] in HEALTH:
            record.trace = caller and caller.child()
            yield
            return
        record.trace = caller
        span = self.spans.begin(record)
        try:
            yield
        finally:
            self.spans.end(span, record)

    def _enter(self, scope: Scope) -> TrackedRequest | None:
        path = scope["path"]
        if path in HEALTH:
            return None
        return self.traffic.enter(scope["method"], dict(scope["headers"]), page=belongs_to_page(path))

    def _recording_send(self, exchange: _Exchange, send: Send) -> Send:
        """Return a `send` that adds the headers and records the kind of the response and its end."""
        record = exchange.record
        own = [(b"x-release", self.release.encode()), (b"x-request-id", record.request_id.encode())]
        if record.trace:
            own.append((b"traceresponse", record.trace.header.encode()))

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _OWN]
                message["headers"] = headers + own
                events = dict(headers).get(b"content-type", b"").startswith(b"text/event-stream")
                if events and exchange.item and exchange.item.page:  # speech as events ends, a tab's stream does not
                    exchange.item.kind = Class.STREAM
            await send(message)
            record.status = message.get("status", record.status)
            exchange.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        return recording_send

    def _finish(self, exchange: _Exchange, scope: Scope) -> None:
        item, record = exchange.item, exchange.record
        if not item:
            return
        record.status = CLIENT_GONE if scope.get("client_gone") else record.status or CLIENT_GONE
        record.route = str(scope.get("part") or getattr(scope.get("route"), "path", "unmatched"))
        self.traffic.leave(item, _outcome(exchange, item))
        self.metrics.requests.labels(record.route, record.status, self.release).inc()
        if item.kind is not Class.STREAM:
            self.metrics.request_seconds.labels(record.route, self.release).observe(record.total_s)
        log_access(record)


def _outcome(exchange: _Exchange, item: TrackedRequest) -> Outcome:
    # Gradio does not distinguish an abort of its streams from another end.
    if exchange.cut or (item.cut and item.kind is Class.STREAM):
        return Outcome.CUT
    return Outcome.COMPLETED if exchange.ended and exchange.record.status != CLIENT_GONE else Outcome.UNFINISHED


async def _cut(exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """End an aborted request: 503 with a retry if no response has started, otherwise the response is cut off.

    An event stream is closed.
    """
    if exchange.ended:
        return
    exchange.cut = True
    if task := asyncio.current_task():
        task.uncancel()
    if not exchange.record.status:
        await respond(DrainingError())(scope, receive, send)
    elif exchange.item and exchange.item.kind is Class.STREAM:
        await send({"type": "http.response.body", "body": b""})


def _request_id(scope: Scope) -> str:
    """Return the client's X-Request-Id if it is valid, otherwise a new one."""
    offered = dict(scope["headers"]).get(b"x-request-id", b"")
    return offered.decode() if _SANE_ID.fullmatch(offered) else uuid.uuid4().hex
