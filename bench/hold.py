"""A hold: a GPU with memory for one model (harness/gpu.py), a slow release, and waiting clients."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from bench import journal_times
from build.console import out
from build.report import timeline
from harness import gpu
from harness.load import TIMEOUT_S, Report, capacity, hammering
from harness.stack import Stack, wait_for

LOAD_S = 25.0  # the gate adds the rest of the 30 s


def measure(_stack: Stack, runs: int, most_per_s: float) -> None:
    """Print the results of clients during `runs` holds, on a separate stack."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # the containers run as other users
        gpus = gpu.make(folder / "gpus")
        with gpu.stack_on(gpus, folder / "stack") as stack:
            rate = min(most_per_s, capacity(stack.url) / 2)
            for number in range(runs):
                gpus.behave(name := f"held-{number}", load_s=LOAD_S)
                _show(*_hold(stack, gpu.renamed(stack, name), rate), rate)


def _hold(stack: Stack, reference: str, rate: float) -> tuple[Report, list[dict[str, Any]]]:
    with hammering(stack.url, rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > 5 * rate)
        stack.run("build.cutover", "switch", reference, "--unverified")
        records = journal_times.newest(stack)
        wait_for("the end of the backlog", lambda: _recovery_s(load.report, records, rate), TIMEOUT_S)
    return load.report, records


def _recovery_s(report: Report, records: list[dict[str, Any]], rate: float) -> float | None:
    """Return the seconds from the end of the hold until latency is back at its maximum before the hold."""
    began, opened = _at(records, "hold"), journal_times.moved(records)
    slowest = max(sample.seconds for sample in report.samples if sample.ended < began)
    after = sorted((sample for sample in report.samples if sample.began > opened), key=lambda sample: sample.began)
    row = math.ceil(rate)  # one second of consecutive requests: a single one may be fast by chance
    for number in range(len(after) - row):
        if all(sample.seconds <= slowest for sample in after[number : number + row]):
            return after[number].began - opened
    return None


def _at(records: list[dict[str, Any]], step: str) -> float:
    return next(timeline.unix(record["at"]) for record in records if record.get("step") == step)


def _show(report: Report, records: list[dict[str, Any]], rate: float) -> None:
    facts = {name: value for record in records for name, value in record.get("facts", {}).items()}
    slowest = max(sample.seconds for sample in report.samples)
    out.print(
        f"{rate:.1f} short requests a second: {len(report.samples)} sent, {len(report.failed)} failed; "
        f"held for {facts['hold_s']:.1f} s, {facts['waited']} waited, slowest {slowest:.1f} s, "
        f"backlog processed after {_recovery_s(report, records, rate) or 0.0:.1f} s "
        f"(time limits: 60 s in the hold, 60 s more in the queue, {TIMEOUT_S} s of a client)"
    )
