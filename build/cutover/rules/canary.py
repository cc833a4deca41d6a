"""Compare the candidate with the live release by their clients' results in the same window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from build.cutover.rules import answers
from build.cutover.rules.answers import EMPTY, FEW, LIMITED, REGRESSIONS, Count, Sample

# Added to the factor: the proxy's log counts milliseconds, and a short sentence takes about 100 ms.
USUAL_SLACK_S, SLOWEST_SLACK_S = 0.1, 0.3


class CanaryOutcome(StrEnum):
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WAIT = "wait"  # not enough data; inconclusive on timeout


@dataclass(frozen=True)
class Window:
    """Results of one colour.

    Attributes:
        sent, failed: all requests by the proxy's counters, which see failures that a retry hid from the client.
        clients: API requests of clients; the proxy distributes them at random, unlike those of the web page.
        own: requests of the cutover.
    """

    sent: int = 0
    failed: int = 0
    clients: Sample = EMPTY
    own: Sample = EMPTY

    @property
    def counted(self) -> Count:
        return Count(self.sent, self.failed)

    def __str__(self) -> str:
        took = self._measured
        refused = f"{self.clients.refused} of {self.clients.sent} client requests refused, "
        return f"{self.sent} sent, {self.failed} failed, {refused}p50 {took.p50_s:.2f} s, p95 {took.p95_s:.2f} s"

    def facts(self) -> dict[str, Any]:
        """Return the numbers for the journal; the times are those of the cutover's own requests without clients."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "own": self.own.sent,
            "answers": dict(sorted(self.clients.answers.items())),
            "p50_s": round(self._measured.p50_s, 3),
            "p95_s": round(self._measured.p95_s, 3),
        }

    @property
    def _measured(self) -> Sample:
        return self.clients if self.clients.took_s else self.own


@dataclass(frozen=True)
class CanaryVerdict:
    """An outcome with its reason.

    `slow`: failed for slowness, which may be the machine's when the two windows cover different times.
    """

    outcome: CanaryOutcome
    reason: str
    slow: bool = False


def comparable(*, busier: bool) -> Sequence[str]:
    """Return the classes in which a canary compares; `busier`: a container of the candidate gets more requests.

    Each container limits clients by itself, so the busier one rejects more of a client beyond its limit.
    """
    return [name for name in REGRESSIONS if name != LIMITED or not busier]


def judge_soak(candidate: Window, live: Window, least: int, slower: float) -> CanaryVerdict:
    """Judge a candidate by the live release's requests before the switch; without any, most must not be refused."""
    for found in _comparisons(candidate, live, REGRESSIONS):
        if answers.mostly(found.candidate, found.live):
            return CanaryVerdict(CanaryOutcome.FAIL, f"{found}; live: {found.live}")
    return judge(candidate, live, least, slower)


def judge(
    candidate: Window, live: Window, least: int, slower: float, compared: Sequence[str] = REGRESSIONS
) -> CanaryVerdict:
    """Pass a candidate that answers its clients about as the live one does, and is at most `slower` times as slow.

    Few requests cannot distinguish a candidate that fails every fifth request from a sound one, so the canary waits for
    more.

    Args:
        least: syntheses of each release that a verdict needs; a proven regression needs none.
        compared: the classes of answers to compare.
    """
    comparisons = _comparisons(candidate, live, compared)
    for found in comparisons:
        if answers.proven(found.candidate, found.live, found.most):
            return CanaryVerdict(CanaryOutcome.FAIL, f"{found}; live: {found.live}")
    for found in comparisons:
        if answers.doubtful(found.candidate, found.live):
            return CanaryVerdict(CanaryOutcome.WAIT, f"{found}, which may be chance")
    samples = _evidence(candidate, live, least)
    if samples is None:
        return CanaryVerdict(CanaryOutcome.WAIT, _missing(candidate, live, least))
    return _judge_speed(*samples, least, slower) or CanaryVerdict(CanaryOutcome.PASS, f"{candidate}; live: {live}")


@dataclass(frozen=True)
class _Comparison:
    """Bad answers of one kind of both releases, and the chance below which the candidate's are proven."""

    what: str
    candidate: Count
    live: Count
    most: float

    def __str__(self) -> str:
        return f"{self.candidate} {self.what}"


def _comparisons(candidate: Window, live: Window, compared: Sequence[str]) -> list[_Comparison]:
    return [
        _Comparison("failed", candidate.counted, live.counted, answers.CHANCE),
        *(
            _Comparison(
                f"requests of clients got {name}",
                candidate.clients.count(name),
                live.clients.count(name),
                answers.CHANCE_OF_CLASS,
            )
            for name in compared
        ),
    ]


def _judge_speed(candidate: Sample, live: Sample, least: int, slower: float) -> CanaryVerdict | None:
    """Return a verdict on a slow candidate; None if it is fast enough."""
    if slow := _slow("median", candidate.p50_s, live.p50_s, slower, USUAL_SLACK_S):
        return CanaryVerdict(CanaryOutcome.FAIL, slow, slow=True)
    if slow := _slow("p95", candidate.p95_s, live.p95_s, slower, SLOWEST_SLACK_S):
        # With few syntheses, p95 is only one or two requests.
        many = len(candidate.took_s) >= 2 * least
        return CanaryVerdict(CanaryOutcome.FAIL if many else CanaryOutcome.WAIT, slow, slow=True)
    return None


def _evidence(candidate: Window, live: Window, least: int) -> tuple[Sample, Sample] | None:
    """Return two samples of `least` syntheses: those of clients, or the cutover's own while clients are quiet.

    The two are never mixed: clients and the cutover send different texts, in a different proportion to each release.
    """
    if min(len(candidate.clients.took_s), len(live.clients.took_s)) >= least:
        return candidate.clients, live.clients
    # Clients that speak to the live release must have heard the candidate too, before own requests speak for it.
    heard = live.clients.sent < least or candidate.clients.sent >= FEW
    enough = min(len(candidate.own.took_s), len(live.own.took_s)) >= least
    return (candidate.own, live.own) if heard and enough else None


def _missing(candidate: Window, live: Window, least: int) -> str:
    own = f"{len(candidate.own.took_s)} (live: {len(live.own.took_s)}) of the cutover"
    return (
        f"{len(candidate.clients.took_s)} syntheses (live: {len(live.clients.took_s)}) of clients, {own}; "
        f"{least} are needed"
    )


def _slow(measure: str, value: float, live: float, slower: float, slack_s: float) -> str:
    most = slower * live + slack_s
    return f"slow: {measure} {value:.2f} s, at most {most:.2f} s (live {live:.2f} s)" if value > most else ""
