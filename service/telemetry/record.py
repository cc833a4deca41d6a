"""The record of one request: each part fills in what it knows; log, trace and metrics read it at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from service.telemetry.trace_context import TraceContext

CLIENT_GONE = 499
"""Status of a request whose client disconnected; only in logs, traces and metrics."""


Attribute = str | int | float | bool


class Step(StrEnum):
    """Kind of work for a request."""

    QUEUE = "queue"
    PLAN = "plan"  # the text as the engine reads it
    INFERENCE = "inference"
    ENCODE = "encode"


class Timing(NamedTuple):
    """One step; times in seconds of the monotonic clock."""

    step: Step
    began: float
    ended: float


@dataclass(eq=False)
class RequestRecord:
    """What is known of a request, or of a synthesis of a web tab; `kind` is its class.

    Times are in seconds of the monotonic clock; `began_ns` is Unix time in nanoseconds.
    """

    method: str = ""
    path: str = ""
    request_id: str = ""
    trace: TraceContext | None = None
    route: str = ""
    status: int = 0
    error_code: str = ""
    client: str = ""
    kind: str = ""
    voice: str = ""
    format: str = ""
    characters: int = 0
    audio_s: float = 0.0
    first_audio_s: float | None = None
    outcome: str = ""
    began_ns: int = field(default_factory=time.time_ns)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    steps: list[Timing] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        """Time from the start of the request to its end, or until now."""
        return (self.ended or time.monotonic()) - self.began

    def unix_ns(self, moment: float) -> int:
        """Return a time of the monotonic clock as Unix time in nanoseconds."""
        return self.began_ns + round((moment - self.began) * 1e9)

    def seconds(self, step: Step) -> float | None:
        """Return the time spent on a step; parallel inferences add up. None: there was none."""
        spent = [timing.ended - timing.began for timing in self.steps if timing.step is step]
        return sum(spent) if spent else None

    def add(self, step: Step, began: float) -> None:
        """Record a step that began at a time of the monotonic clock and ends now."""
        self.steps.append(Timing(step, began, time.monotonic()))

    def fail(self, code: str) -> None:
        """Record the code of an error; the first one is the cause of any other."""
        self.error_code = self.error_code or code

    def end(self, kind: str, outcome: str) -> None:
        """Record the end of the request, its class and its outcome."""
        self.kind, self.outcome, self.ended = kind, outcome, time.monotonic()

    @contextlib.contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """Record a step in this thread. Log lines of the block belong to the request, in a worker thread too."""
        with self.bound():
            began = time.monotonic()
            try:
                yield
            finally:
                self.add(step, began)

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Make this record the current one of the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def identity(self) -> dict[str, str]:
        """Return the IDs that each log line of the request carries."""
        ids = {"request_id": self.request_id}
        if self.trace:
            ids |= {"trace_id": self.trace.trace_id, "span_id": self.trace.span_id}
        return {name: value for name, value in ids.items() if value}

    def attributes(self) -> dict[str, Attribute]:
        """Return what is known, by the attribute names of OpenTelemetry; `tts.` for our own."""
        found: dict[str, Attribute | None] = {
            "http.request.method": self.method,
            "url.path": self.path,
            "http.route": self.route,
            "http.response.status_code": self.status,
            "error.type": self.error_code,
            "tts.total_seconds": _rounded(self.total_s),
            "tts.client": self.client,
            "tts.class": self.kind,
            "tts.voice": self.voice,
            "tts.format": self.format,
            "tts.characters": self.characters,
            "tts.audio_seconds": _rounded(self.audio_s or None),
            "tts.queue_seconds": _rounded(self.seconds(Step.QUEUE)),
            "tts.inference_seconds": _rounded(self.seconds(Step.INFERENCE)),
            "tts.encode_seconds": _rounded(self.seconds(Step.ENCODE)),
            "tts.first_audio_seconds": _rounded(self.first_audio_s),
            "tts.client_left": self.status == CLIENT_GONE,
            "tts.outcome": self.outcome,
        }
        return {name: value for name, value in found.items() if value or isinstance(value, float)}


_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def current_record() -> RequestRecord:
    """Return the record of the request that this code works for; outside of requests an unused record."""
    return _current.get() or RequestRecord()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
