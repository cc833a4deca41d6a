"""Timeouts of a candidate in a hold."""

from __future__ import annotations

import pytest

from build.cutover.rules import holding
from build.cutover.state_machine import StrategyRequest
from build.errors import CandidateStalledError
from build.model.states import Strategy
from build.notify import hook_runner
from build.notify.hook_runner import Ended
from build.settings_types import Hooks
from tests.unit.build.cutover.test_hold import BLUE, GIB, GREEN, switch, target
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


def test_a_target_clock_that_is_set_back_does_not_lengthen_a_hold(target: Target) -> None:
    target.settings = target.settings.model_copy(update={"stall_timeout_s": 300})
    target.colours[GREEN].begin_load = lambda: None  # type: ignore[method-assign]
    target.now = lambda: target.clock.time - (3600 if target.proxy.mode == "all" else 0)  # type: ignore[method-assign]
    with pytest.raises(CandidateStalledError):
        switch(target)
    assert target.clock.time < target.hold_budget_s


@pytest.mark.parametrize(("by_target_s", "spent_s"), [(12, 12), (-3600, 0), (3600, 60)])
def test_after_a_resume_the_targets_clock_counts_within_the_budget(by_target_s: float, spent_s: float) -> None:
    stopwatch = holding.Stopwatch()
    assert stopwatch.spent_s(1000, by_target_s, 60) == spent_s
    assert stopwatch.spent_s(1005, -99, 60) == spent_s + 5


@pytest.mark.parametrize(("strategy", "limit_s"), [(Strategy.HOLD, 19), (Strategy.OVERLAP, 50)])
def test_a_hook_that_clients_wait_for_ends_before_their_requests_time_out(
    target: Target, monkeypatch: pytest.MonkeyPatch, strategy: Strategy, limit_s: float
) -> None:
    target.with_gpu(20 * GIB)
    limits_s: list[float] = []

    def run(_argv: object, *, timeout_s: float, **_rest: object) -> Ended:
        limits_s.append(timeout_s)
        return Ended("", 0)

    monkeypatch.setattr(hook_runner, "run", run)
    hooks = Hooks.model_validate({"pre-switch": ("check",)})
    target.settings = target.settings.model_copy(update={"hooks": hooks, "hook_timeout_s": 50})
    switch(target, request=StrategyRequest(strategy))
    assert limits_s == [pytest.approx(limit_s, abs=1)]
