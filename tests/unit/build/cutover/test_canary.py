"""Verdict and shares of a canary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.cutover.rules.answers import (
    APART,
    REGRESSIONS,
    Count,
    Sample,
    chance,
    class_of,
    doubtful,
    mostly,
    proven,
    sample,
)
from build.cutover.rules.canary import CanaryOutcome, Window, comparable, judge, judge_soak
from build.model import rollout
from build.model.percentile import nearest_rank
from build.model.rollout import Rollout
from build.proxy.haproxy_log import read
from build.proxy.types import Request

LEAST, SLOWER = 10, 1.5


def times(count: int, usual_s: float = 0.2, tail_s: float = 0.2) -> tuple[float, ...]:
    return tuple([usual_s] * (count - count // 8) + [tail_s] * (count // 8))


def window(sent: int, failed: int = 0, usual_s: float = 0.2, tail_s: float = 0.2) -> Window:
    """Clients' requests, some of which failed."""
    clients = Sample({"2xx": sent - failed, "5xx": failed}, times(sent - failed, usual_s, tail_s))
    return Window(sent, failed, clients)


def refusing(served: int, own: int = 0, **refused: int) -> Window:
    """Clients' requests of which some were refused (`c400=3`), and requests of the cutover, which were not."""
    answers = {"2xx": served, **{name.removeprefix("c"): count for name, count in refused.items()}}
    clients = Sample(answers, times(served))
    return Window(clients.sent + own, 0, clients, Sample({"2xx": own}, times(own)))


@pytest.mark.parametrize(
    ("candidate", "live", "outcome", "reason"),
    [
        (window(20), window(60), CanaryOutcome.PASS, "20 sent, 0 failed"),
        (window(9), window(60), CanaryOutcome.WAIT, "9 syntheses (live: 60) of clients"),
        (window(20), window(5), CanaryOutcome.WAIT, "20 syntheses (live: 5)"),
        (window(5, 2), window(95), CanaryOutcome.FAIL, "2 of 5 failed"),
        (window(20, 1), window(400), CanaryOutcome.WAIT, "may be chance"),
        (window(20, 1), window(60), CanaryOutcome.WAIT, "may be chance"),
        (window(14, 3), window(20), CanaryOutcome.WAIT, "may be chance"),
        (window(60, 1), window(60), CanaryOutcome.PASS, "1 failed"),
        (window(60, 6), window(60, 5), CanaryOutcome.PASS, "6 failed"),
        (window(20, usual_s=0.5), window(60), CanaryOutcome.FAIL, "median 0.50 s, at most 0.40 s"),
        (window(20, usual_s=0.39), window(60), CanaryOutcome.PASS, ""),
        (Window(20, 0, Sample({"2xx": 20}, (0.2,) * 19 + (2,))), window(60), CanaryOutcome.PASS, ""),
        (window(16, tail_s=2), window(60), CanaryOutcome.WAIT, "p95"),
        (window(64, tail_s=2), window(60), CanaryOutcome.FAIL, "p95 2.00 s, at most 0.60 s"),
        (window(64, tail_s=2), window(60, tail_s=2), CanaryOutcome.PASS, ""),
        # Requests of the cutover fill the times, but the clients are all refused.
        (
            refusing(0, own=20, c400=305),
            refusing(300, own=20),
            CanaryOutcome.FAIL,
            "305 of 305 requests of clients got",
        ),
        (refusing(0, own=20, c400=2), refusing(60, own=20), CanaryOutcome.FAIL, "2 of 2 requests of clients got 400"),
        (refusing(0, own=20, c400=1), refusing(60, own=20), CanaryOutcome.WAIT, "got 400, which may be chance"),
        (refusing(15, c401=9), refusing(60, c400=9), CanaryOutcome.FAIL, "9 of 24 requests of clients got 401"),
        (refusing(18, c404=2), refusing(54, c404=6), CanaryOutcome.PASS, "2 of 20 client requests refused"),
        (refusing(16, c400=4), refusing(57, c400=3), CanaryOutcome.WAIT, "may be chance"),
        # A clients' failure is not outvoted either.
        (Window(1000, 8, Sample({"5xx": 8}), Sample({"2xx": 992})), window(80), CanaryOutcome.FAIL, "got 5xx"),
        # Without clients the cutover's requests are enough; beside clients, these must have heard the candidate.
        (refusing(0, own=20), refusing(0, own=20), CanaryOutcome.PASS, "20 sent"),
        (refusing(0, own=20), refusing(40, own=20), CanaryOutcome.WAIT, "0 syntheses (live: 40) of clients"),
        (refusing(2, own=20), refusing(40, own=20), CanaryOutcome.PASS, ""),
        # Times of the cutover's texts are not mixed with those of the clients'.
        (
            Window(25, 0, Sample({"2xx": 5}, times(5, 3.0)), Sample({"2xx": 20}, times(20))),
            Window(80, 0, Sample({"2xx": 60}, times(60, 3.0)), Sample({"2xx": 20}, times(20))),
            CanaryOutcome.PASS,
            "",
        ),
    ],
)
def test_a_candidate_is_compared_with_the_live_release(
    candidate: Window, live: Window, outcome: CanaryOutcome, reason: str
) -> None:
    verdict = judge(candidate, live, LEAST, SLOWER)
    assert verdict.outcome is outcome, verdict.reason
    assert reason in verdict.reason


def test_a_busier_container_may_limit_clients_more() -> None:
    candidate, live = refusing(60, c429=30), refusing(30)
    assert judge(candidate, live, LEAST, SLOWER, comparable(busier=False)).outcome is CanaryOutcome.FAIL
    assert judge(candidate, live, LEAST, SLOWER, comparable(busier=True)).outcome is CanaryOutcome.PASS
    refused = refusing(60, c400=30)
    assert judge(refused, live, LEAST, SLOWER, comparable(busier=True)).outcome is CanaryOutcome.FAIL


@pytest.mark.parametrize(
    ("candidate", "live", "outcome"),
    [
        (refusing(0, c400=5), refusing(0), CanaryOutcome.FAIL),
        (refusing(0, c400=4), refusing(0), CanaryOutcome.WAIT),
        (refusing(10, c400=10), refusing(3), CanaryOutcome.WAIT),
        (refusing(0, c401=5), refusing(0, c401=3), CanaryOutcome.WAIT),
        (refusing(0, c400=5), refusing(10), CanaryOutcome.FAIL),
        (Window(6, 6, own=Sample({"2xx": 6})), Window(), CanaryOutcome.FAIL),
    ],
)
def test_without_history_most_requests_of_a_soak_must_be_served(
    candidate: Window, live: Window, outcome: CanaryOutcome
) -> None:
    verdict = judge_soak(candidate, live, LEAST, SLOWER)
    assert verdict.outcome is outcome, verdict.reason


counts = st.integers(0, 60).flatmap(lambda sent: st.builds(Count, st.just(sent), st.integers(0, sent)))


@given(counts, counts)
def test_an_equal_or_lower_rate_is_never_a_regression(candidate: Count, live: Count) -> None:
    if candidate.rate <= live.rate:
        assert not doubtful(candidate, live)
        assert not mostly(candidate, live)
    if live.sent and candidate.rate <= live.rate:
        assert not proven(candidate, live)


@given(st.integers(5, 400), st.integers(0, 400), st.sampled_from(REGRESSIONS), st.integers(0, 400))
def test_a_candidate_that_refuses_every_client_never_passes(refused: int, served: int, name: str, own: int) -> None:
    candidate = Window(refused + own, 0, Sample({name: refused}), Sample({"2xx": own}, times(own)))
    live = Window(served + own, 0, Sample({"2xx": served}, times(served)), Sample({"2xx": own}, times(own)))
    assert judge(candidate, live, LEAST, SLOWER).outcome is not CanaryOutcome.PASS or not served
    verdict = judge_soak(candidate, live, LEAST, SLOWER)
    assert verdict.outcome is CanaryOutcome.FAIL, verdict.reason


def test_the_chance_of_failures_follows_fishers_exact_test() -> None:
    # Fisher's tea tasting: all of 4 by chance is 1 in 70.
    assert chance(Count(4, 4), Count(4, 0)) == pytest.approx(1 / 70)
    assert chance(Count(4, 3), Count(4, 1)) == pytest.approx(17 / 70)
    assert chance(Count(4, 0), Count(4, 4)) == 1
    assert chance(Count(4, 4), Count(0, 0)) == 1


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_percentiles_are_in_order(values: list[float]) -> None:
    p50, p95, highest = (nearest_rank(values, percent) for percent in (50, 95, 100))
    assert min(values) <= p50 <= p95 <= highest == max(values)
    assert sum(value <= p95 for value in values) >= 0.95 * len(values)


def test_the_p95_of_two_values_is_the_higher_one() -> None:
    took = Sample({"2xx": 2}, (0.4, 0.2))
    assert (took.p50_s, took.p95_s) == (0.2, 0.4)
    assert (Sample().p50_s, Sample().p95_s) == (0, 0)


LINE = (
    "2026-11-25T07:00:0{second}.123456789Z 172.29.118.{host} {server} 3/4000/0/5/{took} {status} 900 {end} 1/1 0/0 "
    'an-id "{method} {path} HTTP/1.1"'
)
BASE: dict[str, object] = {
    "second": 1, "host": 1, "server": "green-1", "took": 4253, "status": 200, "end": "--", "method": "POST",
    "path": "/v1/audio/speech",
}  # fmt: skip


def logged(**change: object) -> Request:
    return read([LINE.format(**{**BASE, **change})])[0]


def test_the_log_has_the_duration_and_the_client_of_each_synthesis() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"method": "GET"},
        {"status": 500},
        {"end": "SD"},
        {"path": "/gradio_api/queue/join"},
        {"took": 4353, "path": "/v1//audio/speech/"},
        {"took": 4503, "host": 11, "path": "/api/predict"},
    ]
    found = [logged(**change) for change in changes]
    assert sample(found).took_s == (0.25, 0.35, 0.5)
    assert found[-1].client == "172.29.118.11"


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/audio/speech", True),
        ("/v1/models?q=/", True),
        ("/api/predict", True),
        ("https://speech.example:443/v1/audio/speech", True),
        ("/", False),
        ("/gradio_api/queue/join", False),
        ("https://speech.example/status.json?next=/v1/", False),
    ],
)
def test_the_log_tells_api_requests_from_those_of_the_page(path: str, api: bool) -> None:
    assert logged(path=path).api is api


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "2xx"),
        ({"status": 307}, "3xx"),
        *(({"status": status}, str(status)) for status in sorted(APART)),
        ({"status": 422}, "400"),
        ({"status": 403}, "4xx"),
        ({"status": 503}, "5xx"),
        ({"status": 502, "end": "SH"}, "5xx"),
        ({"end": "SD"}, "broken"),
        ({"status": -1, "end": "CH"}, "broken"),
        ({"end": "CD"}, "2xx"),
    ],
)
def test_each_answer_has_a_class(change: dict[str, object], name: str) -> None:
    assert class_of(logged(**change)) == name
    assert name in ("2xx", *REGRESSIONS)


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
