"""Verdict and shares of a canary."""

from __future__ import annotations

import pytest

from build.cutover.rules.canary import CanaryOutcome, Window, chance, judge, times
from build.model import rollout
from build.model.rollout import Rollout
from build.proxy.haproxy_log import read
from build.proxy.types import Request

LEAST, SLOWER = 10, 1.5


def window(sent: int, failed: int = 0, usual_s: float = 0.2, tail_s: float = 0.2) -> Window:
    passed = sent - failed
    return Window(sent, failed, tuple([usual_s] * (passed - passed // 8) + [tail_s] * (passed // 8)))


@pytest.mark.parametrize(
    ("candidate", "live", "outcome", "reason"),
    [
        (window(20), window(60), CanaryOutcome.PASS, "20 sent, 0 failed"),
        (window(9), window(60), CanaryOutcome.WAIT, "9 syntheses (live: 60); 10 are needed"),
        (window(20), window(5), CanaryOutcome.WAIT, "20 syntheses (live: 5)"),
        (window(5, 2), window(95), CanaryOutcome.FAIL, "2 of 5 failed"),
        (window(20, 1), window(400), CanaryOutcome.WAIT, "may be chance"),
        (window(20, 1), window(60), CanaryOutcome.WAIT, "may be chance"),
        (window(14, 3), window(20), CanaryOutcome.WAIT, "may be chance"),
        (window(60, 1), window(60), CanaryOutcome.PASS, "1 failed"),
        (window(60, 6), window(60, 5), CanaryOutcome.PASS, "6 failed"),
        (window(20, usual_s=0.5), window(60), CanaryOutcome.FAIL, "median 0.50 s, at most 0.40 s"),
        (window(20, usual_s=0.39), window(60), CanaryOutcome.PASS, ""),
        (Window(20, 0, (0.2,) * 19 + (2,)), window(60), CanaryOutcome.PASS, ""),
        (window(16, tail_s=2), window(60), CanaryOutcome.WAIT, "p95"),
        (window(64, tail_s=2), window(60), CanaryOutcome.FAIL, "p95 2.00 s, at most 0.60 s"),
        (window(64, tail_s=2), window(60, tail_s=2), CanaryOutcome.PASS, ""),
    ],
)
def test_a_candidate_is_compared_with_the_live_release(
    candidate: Window, live: Window, outcome: CanaryOutcome, reason: str
) -> None:
    verdict = judge(candidate, live, LEAST, SLOWER)
    assert verdict.outcome is outcome, verdict.reason
    assert reason in verdict.reason


def test_the_chance_of_failures_follows_fishers_exact_test() -> None:
    # Fisher's tea tasting: all of 4 by chance is 1 in 70.
    assert chance(Window(4, 4), Window(4, 0)) == pytest.approx(1 / 70)
    assert chance(Window(4, 3), Window(4, 1)) == pytest.approx(17 / 70)
    assert chance(Window(4, 0), Window(4, 4)) == 1
    assert chance(Window(4, 4), Window(0, 0)) == 1


LINE = (
    "2026-11-25T07:00:0{second}.123456789Z 172.29.118.{host} {server} 3/4000/0/5/{took} {status} 900 {end} 1/1 0/0 "
    'an-id "{method} /v1/audio/speech HTTP/1.1"'
)


def test_the_log_has_the_duration_and_the_client_of_each_synthesis() -> None:
    base: dict[str, object] = {
        "second": 1,
        "host": 1,
        "server": "green-1",
        "took": 4253,
        "status": 200,
        "end": "--",
        "method": "POST",
    }
    changes: list[dict[str, object]] = [
        {},
        {"server": "blue-1"},
        {"method": "GET"},
        {"status": 500},
        {"end": "SD"},
        {"took": 4503, "host": 11},
    ]
    found = read(LINE.format(**{**base, **change}) for change in changes)
    assert times(found, ["green-1", "green-2"]) == (0.25, 0.5)
    assert [request.client for request in found][-1] == "172.29.118.11"
    assert isinstance(found[0], Request)


@pytest.mark.parametrize(("text", "shares"), [("5,25,100", (5, 25)), ("5%, 50%", (5, 50)), ("100", ()), ("none", ())])
def test_a_canary_has_no_share_of_100_percent(text: str, shares: tuple[int, ...]) -> None:
    assert rollout.parse(text) == shares


@pytest.mark.parametrize(
    ("text", "reason"),
    [("25,5", "rise"), ("5,5", "rise"), ("0,5", "1 to 100"), ("5,101", "1 to 100"), ("a", "neither a list")],
)
def test_invalid_shares_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rollout.parse(text)


def test_a_rollout_is_rebuilt_from_its_record() -> None:
    assert Rollout.from_record({"canary": [5, 25], "soak_s": 30}) == Rollout((5, 25), 30.0)
    assert Rollout.from_record({}) == Rollout()


@pytest.mark.parametrize(
    ("share", "candidates", "lives", "weights"),
    [(25, 1, 1, (25, 75)), (25, 2, 2, (50, 150)), (50, 1, 3, (150, 50)), (1, 1, 1, (1, 99)), (1, 4, 4, (3, 256))],
)
def test_weights_give_the_share_for_any_number_of_servers(
    share: int, candidates: int, lives: int, weights: tuple[int, int]
) -> None:
    assert rollout.weights(share, candidates, lives) == weights
    candidate, live = weights[0] * candidates, weights[1] * lives
    assert candidate / (candidate + live) == pytest.approx(share / 100, abs=0.002)
