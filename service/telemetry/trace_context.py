"""W3C Trace Context: the headers `traceparent`, `tracestate` and `traceresponse`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


@dataclass(frozen=True)
class TraceContext:
    """A span of a trace: its IDs in lower-case hexadecimal, whether it is sampled, and `tracestate` as received."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def header(self) -> str:
        """Value of `traceparent` or `traceresponse`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    def child(self) -> TraceContext:
        """Return a new span of the same trace that is not recorded."""
        return TraceContext(self.trace_id, os.urandom(8).hex(), sampled=False, state=self.state)


def parse(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """Return the caller's span, or None without a valid `traceparent`.

    The standard demands to ignore an invalid or repeated `traceparent`, and `tracestate` with it. A later version may
    append fields.
    """
    parents, states = (
        [value.decode("latin-1").strip() for name, value in headers if name == wanted]
        for wanted in (b"traceparent", b"tracestate")
    )
    return from_header(parents[0], ",".join(states)) if len(parents) == 1 else None


def from_header(parent: str, state: str = "") -> TraceContext | None:
    """Return the span that a `traceparent` names, or None if it is invalid."""
    found = _PARENT.fullmatch(parent)
    if not found or (found[1] == "00" and found[5]):
        return None
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED), state)
