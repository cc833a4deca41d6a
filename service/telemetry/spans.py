"""OpenTelemetry traces, exported by OTLP over HTTP. Imported only where an endpoint is set.

A request has one span, and a child for each wait in the queue, inference and encoding. The children are created at the
end of the request from its record, so that tracing costs nothing during the synthesis.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from service.telemetry.record import Attribute, RequestRecord
from service.telemetry.trace_context import TraceContext

logger = logging.getLogger(__name__)

CLOSE_S = 5.0
"""Longest time (seconds) that a stop waits for the last export."""

_SERVER_ERROR = 500


class Spans:
    """Creates the spans of requests; a thread of the library exports them."""

    def __init__(self, endpoint: str, release: str) -> None:
        # Compose passes unset variables as empty ones; the library would complain about them.
        for name in [name for name, value in os.environ.items() if name.startswith("OTEL_") and not value]:
            del os.environ[name]
        own = Resource.create({"service.name": "glm-tts", "service.version": release})
        self._provider = TracerProvider(
            resource=own.merge(OTELResourceDetector().detect()),  # the operator's names win
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_OncePerMinute())
        self._tracer = self._provider.get_tracer("service", release)

    def begin(self, record: RequestRecord) -> Span:
        """Start the span of a request; the record's trace is the caller's before, and the request's own after."""
        parent = set_span_in_context(_remote(record.trace)) if record.trace else None
        attributes: dict[str, Attribute] = {"http.request.method": record.method, "url.path": record.path}
        span = self._tracer.start_span(record.method, parent, SpanKind.SERVER, attributes, start_time=record.began_ns)
        own = span.get_span_context()
        state = record.trace.state if record.trace else ""
        record.trace = TraceContext(f"{own.trace_id:032x}", f"{own.span_id:016x}", own.trace_flags.sampled, state)
        return span

    def end(self, span: Span, record: RequestRecord) -> None:
        """End the span of a request, with its children."""
        if not span.is_recording():
            return
        inside = set_span_in_context(span)
        for step, began, ended in record.steps:
            self._tracer.start_span(step, inside, start_time=record.unix_ns(began)).end(record.unix_ns(ended))
        span.update_name(f"{record.method} {record.route}")
        span.set_attributes(record.attributes() | {"tts.request_id": record.request_id})
        if record.status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end(record.unix_ns(record.began + record.total_s))

    async def close(self) -> None:
        """Export what is left; give up after CLOSE_S, because a collector that does not answer must not delay."""
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, CLOSE_S)
        if last.is_alive():
            logger.warning("the last traces were not exported within %g s and are lost", CLOSE_S)


def _remote(caller: TraceContext) -> NonRecordingSpan:
    context = SpanContext(
        int(caller.trace_id, 16),
        int(caller.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(caller.sampled),
        trace_state=TraceState.from_header([caller.state]) if caller.state else None,
    )
    return NonRecordingSpan(context)


class _OncePerMinute(logging.Filter):
    """Passes one line a minute: a collector that is down must not fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the line."""
        del record
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 60
        return True
