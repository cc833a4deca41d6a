"""Faults of a candidate that serves all traffic."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.load import Load
from harness.stack import Stack, kill, wait_for

SOAK_S = "120"  # longer than every test


@dataclass(frozen=True)
class SoakFault:
    """A switch whose candidate failed in its soak: Unix time of the fault, exit code and output of the command."""

    at: float
    exit_code: int
    output: str


def in_soak(stack: Stack, load: Load, sha: str, fault: str) -> SoakFault:
    """Switch to a release under load; kill or hang it in its soak, once it serves clients."""
    idle, at, lines = "green" if stack.status()["live"] == "blue" else "blue", 0.0, []
    with stack.start("build.cutover", "switch", sha, "--soak", SOAK_S) as process:
        for line in process.stdout or ():
            lines.append(line)
            if "soaking" in line:
                wait_for(
                    "clients on the candidate", lambda: any(sample.release == sha for sample in load.report.samples)
                )
                candidate, at = stack.container(f"app-{idle}"), time.time()
                if fault == "hung":
                    candidate.pause()
                else:
                    kill(candidate)
    return SoakFault(at, process.returncode, "".join(lines))
