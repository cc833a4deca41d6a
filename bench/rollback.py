"""Rollback: seconds from the command until the proxy has switched the traffic, to a release on standby or stopped."""

from __future__ import annotations

import time
from statistics import median

from bench import journal_times
from build.console import out
from build.report import timeline
from harness.stack import Stack


def measure(stack: Stack, runs: int) -> None:
    """Print the medians of `runs` rollbacks of each kind, each after a switch."""
    images = [stack.release(f"bench: rollback {number}") for number in range(2)]
    stack.run("build.cutover", "switch", images[0])
    for name, standby in (("warm, on standby", "true"), ("cold, stopped", "false")):
        moved, ended, steps = zip(*(_rollback(stack, images[1], standby) for _ in range(runs)), strict=True)
        parts = ", ".join(f"{step} {median(starts[step] for starts in steps):.2f}" for step in steps[0])
        out.print(
            f"{name}: {median(moved):.2f} s from command to traffic moved (best {min(moved):.2f}), "
            f"{median(ended):.1f} s to exit; seconds to the start of each step: {parts} (medians of {runs})"
        )


def _rollback(stack: Stack, sha: str, standby: str) -> tuple[float, float, dict[str, float]]:
    """Return the seconds until the traffic switch, until the end, and from the command to the start of each step."""
    stack.run("build.cutover", "switch", sha, CUTOVER_STANDBY=standby)
    began = time.time()
    stack.run("build.cutover", "rollback")
    ended_s = time.time() - began
    records = journal_times.newest(stack)
    begun = {
        str(record["step"]): timeline.unix(record["at"]) - began for record in records if record["event"] == "intent"
    }
    return journal_times.moved(records) - began, ended_s, begun
