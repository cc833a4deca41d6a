"""How long a hold waits for its candidate."""

from __future__ import annotations

import pytest

from build.cutover.rules import holding
from build.cutover.state_machine import StrategyRequest
from build.errors import CandidateStalledError
from build.model.states import Strategy
from tests.unit.build.cutover.test_hold import BLUE, GREEN, switch, target
from tests.unit.build.fakes import Target

__all__ = ("target",)  # a fixture


def test_a_candidate_that_hangs_is_given_up_in_time_for_the_old_process_to_serve_before_anybody_is_refused(
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


def test_a_hold_that_was_forced_waits_as_long_as_any_start(target: Target) -> None:
    target.settings = target.settings.model_copy(update={"stall_timeout_s": 300})
    target.colours[GREEN].begin_load = lambda: None  # type: ignore[method-assign]
    with pytest.raises(CandidateStalledError, match="no progress for 300 s"):
        switch(target, asked=StrategyRequest(Strategy.HOLD, forced=True))


@pytest.mark.parametrize(
    ("spent_s", "load_s", "reload_s", "loading", "left_s"),
    [
        (5, 10, 20, True, 25),  # 60 - 5 - 20, and 10 for the way back itself
        (5, None, None, True, 15),  # nobody knows how long the way back takes: half is kept for it
        (5, 30, 30, True, 45),  # what it is expected to take it may take, whatever becomes of the rest
        (40, 30, 20, False, 10),  # loaded; it only has to answer
        (5, 30, 20, False, 25),
    ],
)
def test_what_a_hold_leaves_a_candidate(
    spent_s: float, load_s: float | None, reload_s: float | None, loading: bool, left_s: float
) -> None:
    assert holding.patience_s(60, spent_s, load_s=load_s, reload_s=reload_s, loading=loading) == left_s
