"""Timeouts of a candidate in a hold."""

from __future__ import annotations

import pytest

from build.cutover.rules import holding
from build.cutover.state_machine import StrategyRequest
from build.errors import CandidateStalledError
from build.model.states import Strategy
from tests.unit.build.cutover.test_hold import BLUE, GREEN, switch, target
from tests.unit.build.fakes import Target

__all__ = ("target",)  # a fixture


def test_a_hanging_candidate_fails_before_held_requests_time_out(
    target: Target,
) -> None:
    target.settings = target.settings.model_copy(update={"stall_timeout_s": 300})
    target.colours[GREEN].begin_load = lambda: None  # type: ignore[method-assign]
    with pytest.raises(CandidateStalledError):
        switch(target)
    ended = target.history()[-1]
    assert ended.state == "rolled-back"
    assert target.clock.time < target.hold_budget_s
    assert target.live(target.survey()) is BLUE


def test_a_forced_hold_has_the_usual_start_timeouts(target: Target) -> None:
    target.settings = target.settings.model_copy(update={"stall_timeout_s": 300})
    target.colours[GREEN].begin_load = lambda: None  # type: ignore[method-assign]
    with pytest.raises(CandidateStalledError, match="no progress for 300 s"):
        switch(target, request=StrategyRequest(Strategy.HOLD, forced=True))


@pytest.mark.parametrize(
    ("spent_s", "load_s", "reload_s", "loading", "timeout_s"),
    [
        (5, 10, 20, True, 25),  # 60 - 5 - 20 - 10 for the rollback beside the reload
        (5, None, None, True, 15),  # unknown reload time: half of the limit is reserved for it
        (5, 30, 30, True, 45),  # the expected load time is always granted
        (40, 30, 20, False, 10),  # loaded; it only has to respond
        (5, 30, 20, False, 25),
    ],
)
def test_the_candidates_timeout_in_a_hold(
    spent_s: float, load_s: float | None, reload_s: float | None, loading: bool, timeout_s: float
) -> None:
    assert holding.candidate_timeout_s(60, spent_s, load_s=load_s, reload_s=reload_s, loading=loading) == timeout_s
