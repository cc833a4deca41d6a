"""A candidate that dies with all traffic on it: time until the previous release answers, and the clients' results."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from build.console import out
from harness import soak_faults
from harness.load import TIMEOUT_S, Sample, capacity, hammering
from harness.stack import Stack, wait_for


@dataclass(frozen=True)
class Broken:
    """Result of one soak: requests, and seconds from the fault.

    `back_s` is the time until a response of the previous release, `slowest_s` the duration of the slowest later
    request.
    """

    sent: int
    failed: int
    back_s: float
    slowest_s: float


def measure(stack: Stack, runs: int, most_per_s: float) -> None:
    """Print medians over `runs` candidates that are killed in their soak, and over as many that hang."""
    before, sha = (stack.release(f"bench: soak {number}") for number in range(2))
    stack.run("build.cutover", "switch", before)
    rate = min(most_per_s, capacity(stack.url) / 2)
    for fault in ("killed", "hung"):
        found = [_broken(stack, before, sha, fault, rate) for _ in range(runs)]
        back_s, slowest_s = (median(getattr(each, name) for each in found) for name in ("back_s", "slowest_s"))
        out.print(
            f"{fault} in its soak, {rate:.1f} short requests a second: {sum(each.sent for each in found)} sent, "
            f"{sum(each.failed for each in found)} failed; the old release answers after {back_s:.2f} s, "
            f"slowest request {slowest_s:.2f} s (medians of {runs})"
        )


def _broken(stack: Stack, before: str, sha: str, fault: str, rate: float) -> Broken:
    with hammering(stack.url, rate) as load:
        samples = load.report.samples
        struck = soak_faults.in_soak(stack, load, sha, fault).at
        wait_for("the old release", lambda: _after(samples, before, struck), TIMEOUT_S)
    after = [each for each in load.report.samples if each.ended > struck]
    return Broken(
        len(load.report.samples),
        len(load.report.failed),
        min(each.ended for each in _after(samples, before, struck)) - struck,
        max(each.seconds for each in after),
    )


def _after(samples: list[Sample], release: str, moment: float) -> list[Sample]:
    """Return the responses of a release to requests sent after a moment."""
    return [each for each in samples if each.release == release and each.began >= moment]
