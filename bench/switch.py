"""A release under load: this project's cutover beside other ways, same images, same load, in one run.

Short requests leave by the clock, and a long streamed one every few seconds; each body is judged to its end.
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

from bench import journaled, rivals
from bench.rivals import Way
from build.console import out
from tests.support.load import TIMEOUT_S, Report, Sample, capacity, hammering
from tests.support.stack import Stack, wait_for

STREAM_EVERY_S = 10.0
AROUND_S = 5.0  # before and after the first answer of the new release
HEADINGS = ("way", "runs", "sent", "failed", "cut streams", "p99 around the switch", "first answer of the new", "done")


@dataclass(frozen=True)
class Under:
    """One release under load: seconds from the command to the new release's first answer, and to its end."""

    report: Report
    first_s: float
    total_s: float
    p99_s: float

    @property
    def cut(self) -> int:
        """Streams that began and have no end."""
        return sum(sample.kind == "long-streamed" and sample.cut for sample in self.report.samples)


def measure(stack: Stack, runs: int, most_per_s: float, script: Path | None) -> None:
    """Prints counts over all runs and medians of their times, a row for each way.

    Args:
        script: docker-rollout's.
    """
    images = [stack.release(f"bench: switch {number}") for number in range(2)]
    stack.run("build.cutover", "switch", images[0])
    rate = min(most_per_s, capacity(stack.url) / 2)
    out.print(f"{rate:.1f} short requests a second, a stream of 36 s of sound every {STREAM_EVERY_S:.0f} s")
    table = Table(*HEADINGS, box=None, pad_edge=False)
    took: list[journaled.Times] = []
    # Theirs first and ours last, or the other way round, makes no difference: each has the machine to itself.
    ours = Way("build.cutover switch", stack.url, lambda sha: took.append(journaled.switch(stack, sha)))
    _row(table, ours, images, runs, rate)
    stack.compose("--profile", "*", "stop")
    for way in _rivals(stack, images, script):
        _row(table, way, images, runs, rate)
    out.print(table)
    if script is None:
        out.print("docker-rollout is left out: its script is an argument, --rollout PATH")
    journaled.show(took)


def _rivals(stack: Stack, images: list[str], script: Path | None) -> Iterator[Way]:
    """One after the other; each is gone before the next one begins."""
    first, other = images
    ways = [partial(rivals.in_place, stack, first), partial(rivals.swarm, stack, first, other)]
    if script:
        ways.insert(1, partial(rivals.rollout, stack, first, script))
    for way in ways:
        with ExitStack() as entered:
            yield entered.enter_context(way())


def _row(table: Table, way: Way, images: list[str], runs: int, rate: float) -> None:
    found = [_under_load(way, images[(number + 1) % 2], rate) for number in range(runs)]
    table.add_row(
        way.name,
        str(runs),
        str(sum(len(each.report.samples) for each in found)),
        str(sum(len(each.report.failed) for each in found)),
        str(sum(each.cut for each in found)),
        f"{median(each.p99_s for each in found):.2f} s",
        f"{median(each.first_s for each in found):.1f} s",
        f"{median(each.total_s for each in found):.1f} s",
    )
    for failure, count in Counter(sample.failure for each in found for sample in each.report.failed).most_common(3):
        out.print(f"{way.name}: {count} x {failure}", markup=False)


def _under_load(way: Way, sha: str, rate: float) -> Under:
    with hammering(way.url, rate, STREAM_EVERY_S) as load:
        samples = load.report.samples
        wait_for("traffic", lambda: len(samples) > AROUND_S * rate)
        began = time.time()
        way.deploy(sha)
        total_s = time.time() - began
        first = wait_for("the new release", lambda: _first(samples, sha), TIMEOUT_S)
        wait_for("traffic afterwards", lambda: time.time() > first + AROUND_S)
    around = sorted(each.seconds for each in samples if _near(each, first))
    return Under(load.report, first - began, total_s, around[int(0.99 * (len(around) - 1))])


def _first(samples: list[Sample], sha: str) -> float:
    """When the first answer of a release had come; 0 while there is none."""
    return min((each.ended for each in samples if each.release == sha), default=0.0)


def _near(sample: Sample, moment: float) -> bool:
    """A short request that was under way around a moment."""
    return sample.kind == "short" and sample.began < moment + AROUND_S and sample.ended > moment - AROUND_S
