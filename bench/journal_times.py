"""Times of a cutover from the journal: the traffic switch, and the orchestrator's own overhead."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from statistics import median
from typing import Any

from build.console import out
from build.report import timeline
from build.state.history import Event
from harness.stack import Stack

# Steps of the candidate that every orchestrator needs: boot and gate; the facts of `retire` have the drain.
NEEDED = ("start", "warm", "verify")


@dataclass(frozen=True)
class Times:
    """Times of one switch: milliseconds from the journaled intent to the proxy's acknowledgement, seconds of the rest.

    `overhead_s` is the command's total time without the candidate's boot, its gate and the drain.
    """

    acknowledged_ms: float
    overhead_s: float
    boot_s: float
    gate_s: float
    drain_s: float


def newest(stack: Stack) -> list[dict[str, Any]]:
    """Return the records of the newest cutover."""
    records = stack.journal()
    return [record for record in records if record.get("cutover") == records[-1]["cutover"]]


def moved(records: list[dict[str, Any]]) -> float:
    """Return the Unix time at which the proxy had switched the traffic."""
    return next(
        timeline.unix(record["at"])
        for record in records
        if record["event"] == Event.DONE and record["state"] == "switched"
    )


def switch(stack: Stack, sha: str) -> Times:
    """Make a release live and return the times."""
    began = time.monotonic()
    stack.run("build.cutover", "switch", sha)
    total_s = time.monotonic() - began
    records = newest(stack)
    facts = {name: value for record in records for name, value in record.get("facts", {}).items()}
    took = {span.name: span.took_s or 0.0 for span in timeline.read(records)}
    needed_s = sum(took[name] for name in NEEDED) + facts["drain_s"]
    boot_s = took["start"] + took["warm"]
    return Times(facts["acknowledged_ms"], total_s - needed_s, boot_s, took["verify"], facts["drain_s"])


def show(times: list[Times]) -> None:
    """Print the medians."""
    middle = Times(*(median(column) for column in zip(*map(astuple, times), strict=True)))
    slowest = max(switch_times.acknowledged_ms for switch_times in times)
    out.print(
        f"build.cutover switch: intent to acknowledgement {middle.acknowledged_ms:.0f} ms (slowest {slowest:.0f}); "
        f"orchestrator {middle.overhead_s:.1f} s beyond boot {middle.boot_s:.1f} s, gate {middle.gate_s:.1f} s, "
        f"drain {middle.drain_s:.1f} s (medians of {len(times)})"
    )
