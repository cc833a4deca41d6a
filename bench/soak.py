"""A candidate that dies with all traffic on it: time until the previous release answers, and the clients' results."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from build.console import out
from harness import soak_faults
from harness.load import TIMEOUT_S, Sample, capacity, hammering
from harness.stack import Stack, wait_for


@dataclass(frozen=True)
class SoakResult:
    """Result of one soak: requests, and seconds from the fault.

    `recovery_s` is the time until a response of the previous release, `slowest_s` the duration of the slowest later
    request.
    """

    sent: int
    failed: int
    recovery_s: float
    slowest_s: float


def measure(stack: Stack, runs: int, most_per_s: float) -> None:
    """Print medians over `runs` candidates that are killed in their soak, and over as many that hang."""
    before, sha = (stack.release(f"bench: soak {number}") for number in range(2))
    stack.run("build.cutover", "switch", before)
    rate = min(most_per_s, capacity(stack.url) / 2)
    for fault in ("killed", "hung"):
        results = [_soak(stack, before, sha, fault, rate) for _ in range(runs)]
        recovery_s, slowest_s = (
            median(getattr(result, name) for result in results) for name in ("recovery_s", "slowest_s")
        )
        out.print(
            f"candidate {fault} in its soak, {rate:.1f} short requests per second: "
            f"{sum(result.sent for result in results)} sent, {sum(result.failed for result in results)} failed; "
            f"the old release responds after {recovery_s:.2f} s, "
            f"slowest request {slowest_s:.2f} s (medians of {runs})"
        )


def _soak(stack: Stack, before: str, sha: str, fault: str, rate: float) -> SoakResult:
    with hammering(stack.url, rate) as load:
        samples = load.report.samples
        injected_at = soak_faults.in_soak(stack, load, sha, fault).at
        wait_for("the old release", lambda: _after(samples, before, injected_at), TIMEOUT_S)
    after = [sample for sample in load.report.samples if sample.ended > injected_at]
    return SoakResult(
        len(load.report.samples),
        len(load.report.failed),
        min(sample.ended for sample in _after(samples, before, injected_at)) - injected_at,
        max(sample.seconds for sample in after),
    )


def _after(samples: list[Sample], release: str, moment: float) -> list[Sample]:
    """Return the responses of a release to requests sent after a moment."""
    return [sample for sample in samples if sample.release == release and sample.began >= moment]
