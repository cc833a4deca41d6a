"""Compare the candidate with the live release by their clients' results in the same window."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from statistics import median
from typing import Any

from build.proxy.types import Request

# One failed request proves nothing. From two on, a failure count this unlikely (Fisher's exact test) fails the canary.
FEW = 2
CHANCE = 0.01
# A passing candidate's failure rate may exceed the live one's by this: one failure needs 50 requests to pass.
TOLERATED = 0.02
# Added to the factor: the proxy's log counts milliseconds, and a short sentence takes about 100 ms.
USUAL_SLACK_S, SLOWEST_SLACK_S = 0.1, 0.3


class CanaryOutcome(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WAIT = "wait"  # not enough data; inconclusive on timeout


@dataclass(frozen=True)
class Window:
    """Results of one colour's clients: requests, failures, and the seconds of each successful synthesis."""

    sent: int = 0
    failed: int = 0
    took_s: tuple[float, ...] = ()

    @property
    def p50_s(self) -> float:
        return median(self.took_s) if self.took_s else 0.0

    @property
    def p95_s(self) -> float:
        return sorted(self.took_s)[int(0.95 * (len(self.took_s) - 1))] if self.took_s else 0.0

    @property
    def failure_rate(self) -> float:
        return self.failed / self.sent if self.sent else 0.0

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} failed, p50 {self.p50_s:.2f} s, p95 {self.p95_s:.2f} s"

    def facts(self) -> dict[str, Any]:
        """Return the numbers for the journal."""
        return {"sent": self.sent, "failed": self.failed, "p50_s": round(self.p50_s, 3), "p95_s": round(self.p95_s, 3)}


@dataclass(frozen=True)
class CanaryVerdict:
    """An outcome with its reason.

    `slow`: failed for slowness, which may be the machine's when the two windows cover different times.
    """

    outcome: CanaryOutcome
    reason: str
    slow: bool = False


def times(requests: Iterable[Request], servers: Container[str]) -> tuple[float, ...]:
    """Return the seconds of each successful synthesis on some servers, without the time held in the proxy."""
    return tuple(
        request.served_s
        for request in requests
        if request.server in servers and request.synthesized and not request.failed
    )


def judge(candidate: Window, live: Window, least: int, slower: float) -> CanaryVerdict:
    """Pass a candidate whose failure rate is about the live one's and that is at most `slower` times as slow.

    Few requests cannot distinguish a candidate that fails every fifth request from a sound one, so the canary waits for
    more.

    Args:
        least: syntheses of each release that a verdict needs; failures beyond chance need none.
    """
    likely = chance(candidate, live)
    if candidate.failed >= FEW and likely < CHANCE:
        return CanaryVerdict(
            CanaryOutcome.FAIL, f"{candidate.failed} of {candidate.sent} failed; live: {live.failed} of {live.sent}"
        )
    if min(len(candidate.took_s), len(live.took_s)) < least:
        return CanaryVerdict(
            CanaryOutcome.WAIT, f"{len(candidate.took_s)} syntheses (live: {len(live.took_s)}); {least} are needed"
        )
    if candidate.failure_rate > live.failure_rate + TOLERATED:
        return CanaryVerdict(CanaryOutcome.WAIT, f"{candidate.failed} of {candidate.sent} failed, which may be chance")
    if slow := _slow("median", candidate.p50_s, live.p50_s, slower, USUAL_SLACK_S):
        return CanaryVerdict(CanaryOutcome.FAIL, slow, slow=True)
    if slow := _slow("p95", candidate.p95_s, live.p95_s, slower, SLOWEST_SLACK_S):
        # With few syntheses, p95 is only one or two requests.
        many = len(candidate.took_s) >= 2 * least
        return CanaryVerdict(CanaryOutcome.FAIL if many else CanaryOutcome.WAIT, slow, slow=True)
    return CanaryVerdict(CanaryOutcome.PASS, f"{candidate}; live: {live}")


def chance(candidate: Window, live: Window) -> float:
    """Return the chance that so many or more of all failures hit the candidate (one-sided Fisher's exact test)."""
    sent, failed = candidate.sent + live.sent, candidate.failed + live.failed
    if not candidate.failed or not live.sent:
        return 1.0
    ways = sum(
        comb(candidate.sent, mine) * comb(live.sent, failed - mine)
        for mine in range(candidate.failed, min(candidate.sent, failed) + 1)
    )
    return ways / comb(sent, failed)


def _slow(measure: str, value: float, live: float, slower: float, slack_s: float) -> str:
    most = slower * live + slack_s
    return f"slow: {measure} {value:.2f} s, at most {most:.2f} s (live {live:.2f} s)" if value > most else ""
