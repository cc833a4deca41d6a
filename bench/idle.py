"""CPU time of an idle stack with one colour: seconds of each container by its cgroup, health checks included."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from build.console import out
from harness.stack import Stack, wait_for

SERVICES = ("proxy", "agent")
SETTLING_S = 20  # until the health checks run at their normal interval


def measure(stack: Stack, runs: int, seconds: float) -> None:
    """Print the median share of one core of each container over `runs` intervals of `seconds`."""
    stack.release("bench: idle")
    stack.run("build.cutover", "switch")
    containers = [*(stack.container(service) for service in SERVICES), stack.live_app()]
    wait_for("the health check", lambda: _healthy(containers[-1]))
    time.sleep(SETTLING_S)
    shares = [_shares(containers, seconds) for _ in range(runs)]
    each = ", ".join(
        f"{container.name.removeprefix(f'{stack.project}-')} {median(column):.2%}"
        for container, column in zip(containers, zip(*shares, strict=True), strict=True)
    )
    total = median(sum(row) for row in shares)
    out.print(f"idle stack of one colour: {total:.2%} of a core over {seconds:.0f} s ({each}; medians of {runs})")


def _healthy(container: Any) -> bool:
    container.reload()
    return bool(container.attrs["State"]["Health"]["Status"] == "healthy")


def _shares(containers: list[Any], seconds: float) -> list[float]:
    began, before_s = time.monotonic(), [_cpu_s(container) for container in containers]
    time.sleep(seconds)
    after_s, took_s = [_cpu_s(container) for container in containers], time.monotonic() - began
    return [(after - before) / took_s for before, after in zip(before_s, after_s, strict=True)]


def _cpu_s(container: Any) -> float:
    usage: int = container.stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]["total_usage"]
    return usage / 1e9
