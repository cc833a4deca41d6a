"""Limit of requests in flight: one more per round, half after a rejection."""

from __future__ import annotations

from batch.run.aimd import Limit


def test_the_limit_grows_by_one_per_round_and_only_when_it_is_reached() -> None:
    limit = Limit(1, 16, 4)
    for _ in range(5):
        limit.accepted(4)
    assert limit.allowed == 5
    for _ in range(100):
        limit.accepted(2)
    assert limit.allowed == 5
    for _ in range(1000):
        limit.accepted(16)
    assert limit.value == 16


def test_rejections_of_one_round_halve_the_limit_once() -> None:
    limit = Limit(3, 16, 16)
    for now in (10.0, 10.1, 10.2):
        limit.refused(sent=9.0, now=now)
    assert limit.allowed == 8
    limit.refused(sent=10.1, now=11.0)
    limit.refused(sent=12.0, now=13.0)
    assert limit.value == 3
