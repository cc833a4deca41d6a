"""A candidate that breaks down with all the traffic on it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.load import Load
from harness.stack import Stack, kill, wait_for

SOAK_S = "120"  # never reached


@dataclass(frozen=True)
class Struck:
    """The switch whose candidate broke down: when (Unix time), how the command ended, and what it said."""

    at: float
    exit_code: int
    said: str


def in_soak(stack: Stack, load: Load, sha: str, fault: str) -> Struck:
    """Switches to a release under load, and has it killed or hung in its soak, once clients are on it."""
    idle, at, said = "green" if stack.status()["live"] == "blue" else "blue", 0.0, []
    with stack.start("build.cutover", "switch", sha, "--soak", SOAK_S) as process:
        for line in process.stdout or ():
            said.append(line)
            if "soaking" in line:
                wait_for("clients on the candidate", lambda: any(each.release == sha for each in load.report.samples))
                candidate, at = stack.container(f"app-{idle}"), time.time()
                if fault == "hung":
                    candidate.pause()
                else:
                    kill(candidate)
    return Struck(at, process.returncode, "".join(said))
