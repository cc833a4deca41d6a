"""A release under load: this project's cutover against other ways, with the same images and load, in one run.

Short requests start on a fixed schedule, and a long stream every few seconds. Every response is checked to its end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from rich.table import Table

from bench import alternatives, journal_times
from bench.alternatives import ReleaseMethod
from build.console import out
from harness.load import TIMEOUT_S, Report, Sample, capacity, hammering
from harness.stack import Stack, wait_for

STREAM_EVERY_S = 10.0
AROUND_S = 5.0  # before and after the first response of the new release
HEADINGS = (
    "method",
    "runs",
    "sent",
    "failed",
    "cut streams",
    "p99 around the switch",
    "first response of the new",
    "exit",
)


@dataclass(frozen=True)
class SwitchResult:
    """One release under load: seconds from the command to the new release's first response, and to its end."""

    report: Report
    first_s: float
    total_s: float
    p99_s: float

    @property
    def cut(self) -> int:
        """Number of streams that started but are incomplete."""
        return sum(sample.kind == "long-streamed" and sample.cut for sample in self.report.samples)


def measure(stack: Stack, runs: int, most_per_s: float, script: Path | None) -> None:
    """Print counts over all runs and medians of their times, a row for each method.

    Args:
        script: path of docker-rollout's script.
    """
    images = [stack.release(f"bench: switch {number}") for number in range(2)]
    stack.run("build.cutover", "switch", images[0])
    rate = min(most_per_s, capacity(stack.url) / 2)
    out.print(f"{rate:.1f} short requests per second, a stream of 36 s of audio every {STREAM_EVERY_S:.0f} s")
    table = Table(*HEADINGS, box=None, pad_edge=False)
    took: list[journal_times.Times] = []
    # The order does not matter: each method runs alone on the machine.
    ours = ReleaseMethod("build.cutover switch", stack.url, lambda sha: took.append(journal_times.switch(stack, sha)))
    _row(table, ours, images, runs, rate)
    stack.compose("--profile", "*", "stop")
    for method in _alternatives(stack, images, script):
        _row(table, method, images, runs, rate)
    out.print(table)
    if script is None:
        out.print("docker-rollout is omitted: pass its script by --rollout PATH")
    journal_times.show(took)


def _alternatives(stack: Stack, images: list[str], script: Path | None) -> Iterator[ReleaseMethod]:
    """Yield the other ways one after the other; each is removed before the next starts."""
    first, other = images
    ways = [partial(alternatives.in_place, stack, first), partial(alternatives.swarm, stack, first, other)]
    if script:
        ways.insert(1, partial(alternatives.rollout, stack, first, script))
    for method in ways:
        with ExitStack() as entered:
            yield entered.enter_context(method())


def _row(table: Table, method: ReleaseMethod, images: list[str], runs: int, rate: float) -> None:
    results = [_under_load(method, images[(number + 1) % 2], rate) for number in range(runs)]
    table.add_row(
        method.name,
        str(runs),
        str(sum(len(result.report.samples) for result in results)),
        str(sum(len(result.report.failed) for result in results)),
        str(sum(result.cut for result in results)),
        f"{median(result.p99_s for result in results):.2f} s",
        f"{median(result.first_s for result in results):.1f} s",
        f"{median(result.total_s for result in results):.1f} s",
    )
    for failure, count in Counter(sample.failure for result in results for sample in result.report.failed).most_common(
        3
    ):
        out.print(f"{method.name}: {count} x {failure}", markup=False)


def _under_load(method: ReleaseMethod, sha: str, rate: float) -> SwitchResult:
    with hammering(method.url, rate, STREAM_EVERY_S) as load:
        samples = load.report.samples
        wait_for("traffic", lambda: len(samples) > AROUND_S * rate)
        began = time.time()
        method.deploy(sha)
        total_s = time.time() - began
        first = wait_for("the new release", lambda: _first(samples, sha), TIMEOUT_S)
        wait_for("traffic afterwards", lambda: time.time() > first + AROUND_S)
    around = sorted(sample.seconds for sample in samples if _near(sample, first))
    return SwitchResult(load.report, first - began, total_s, around[int(0.99 * (len(around) - 1))])


def _first(samples: list[Sample], sha: str) -> float:
    """Return the end of a release's first response; 0 if there is none."""
    return min((sample.ended for sample in samples if sample.release == sha), default=0.0)


def _near(sample: Sample, moment: float) -> bool:
    """Return whether a sample is a short request in progress around a moment."""
    return sample.kind == "short" and sample.began < moment + AROUND_S and sample.ended > moment - AROUND_S
