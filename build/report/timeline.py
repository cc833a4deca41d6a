"""The journal of one cutover as a timeline: begin, duration and outcome of each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from build.model import timestamps
from build.state.history import Event


@dataclass(frozen=True)
class Span:
    """One step or hook: seconds since the cutover's begin, duration (None: no end), outcome."""

    name: str
    began_s: float
    took_s: float | None
    outcome: str
    failed: bool = False
    output: str = ""


def unix(at: str) -> float:
    """Convert a journal time to Unix time; 0 if invalid."""
    try:
        return timestamps.unix(at)
    except ValueError:
        return 0.0


def read(records: Iterable[dict[str, Any]]) -> list[Span]:
    """Return the spans of one cutover's records, given oldest first."""
    zero = open_at = 0.0
    spans: list[Span] = []
    step = ""
    for record in records:
        event, at = record["event"], unix(record["at"])
        if event == Event.BEGIN:
            zero = at
        elif event == Event.INTENT:
            if step:  # a resumed cutover repeats the interrupted step
                spans.append(Span(step, open_at - zero, None, "interrupted"))
            step, open_at = record["step"], at
        elif event == Event.HOOK:
            took, error = float(record["took_s"]), str(record["error"])
            began = max(at - zero - took, 0.0)
            output = str(record["output"])
            spans.append(Span(f"hook {record['point']}", began, took, error or "good", bool(error), output))
        elif event == Event.SHARE and (share := record["facts"]["share"]):
            spans.append(
                Span(f"canary {share} %", at - zero - record["facts"]["took_s"], record["facts"]["took_s"], "pass")
            )
        elif step and event in {Event.DONE, Event.FAILED, Event.PAUSED}:
            failed = event != Event.DONE
            outcome = str(record["state"]) if event == Event.DONE else str(event)
            spans.append(Span(step, open_at - zero, at - open_at, outcome, failed))
            step = ""
    if step:
        spans.append(Span(step, open_at - zero, None, "no end", failed=True))
    return sorted(spans, key=lambda span: span.began_s)
