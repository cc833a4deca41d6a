"""Interrupts of a cutover in memory: in and between steps, and during a rollback."""

from __future__ import annotations

import signal
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.cutover.state_machine import StrategyRequest
from build.errors import CanaryFailedError, InterruptedByUserError, LockLostError, ProxyError
from build.model.colours import Colour
from build.model.rollout import Rollout
from build.model.states import Strategy
from build.proxy.types import Request
from build.system.interrupts import INTERRUPTS, Interrupts
from build.target.in_flight import Count
from tests.unit.build.cutover.test_canary_soak import at_intent, busy, in_rotation
from tests.unit.build.cutover.test_drain import BUDGETS, a_gpu, in_flight
from tests.unit.build.fakes import NEW, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
ALL = Rollout(canary=(25,), soak_s=5)
OVERLAP = ("preflight", "start", "warm", "verify", "admit", "canary", "switch", "soak", "retire")
HOLD = ("preflight", "park", "hold", "load", "verify", "admit", "switch", "soak", "retire")


@pytest.fixture(autouse=True)
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Interrupts:
    """No signal has arrived in this process."""
    for name, value in vars(Interrupts()).items():
        monkeypatch.setattr(INTERRUPTS, name, value)
    return INTERRUPTS


def switch(target: Target, rollout: Rollout = ALL, *, hold: bool = False, report: Report | None = None) -> None:
    request = StrategyRequest(Strategy.HOLD, forced=True) if hold else StrategyRequest()
    cutover.run(
        cast(Any, target), report or Report(), "switch", lambda *_: NEW, request=request, rollout=rollout
    )  # fmt: skip


def stack(*, hold: bool) -> Target:
    target = busy()
    if hold:
        a_gpu(target)
    return target


@pytest.mark.parametrize(
    ("hold", "step"), [*((False, step) for step in OVERLAP), *((True, step) for step in HOLD)], ids=str
)
def test_an_interrupt_stops_every_step_and_is_rolled_back(hold: bool, step: str) -> None:
    target = stack(hold=hold)
    at_intent(target, step, lambda: INTERRUPTS.receive(signal.SIGINT))
    with pytest.raises(InterruptedByUserError, match="SIGINT"):
        switch(target, hold=hold)
    newest = target.history()[-1]
    assert newest.ended
    if step == "retire":  # the candidate serves; only cleaning up was interrupted
        assert newest.state == "switched"
        assert {"green-1", "blue-1"} & in_rotation(target).keys() == {"green-1"}
    else:
        assert (newest.state in {"failed", "rolled-back"}, in_rotation(target)) == (True, {"blue-1": 100})
        assert target.colours[GREEN].holds is None
    assert target.proxy.mode == "none"


@pytest.mark.parametrize("rollout", [Rollout(canary=(25,)), Rollout(soak_s=5)], ids=["canary", "soak"])
def test_a_measurement_does_not_swallow_an_interrupt(rollout: Rollout) -> None:
    target = busy()

    def interrupted(*_range: Any) -> list[Request]:
        INTERRUPTS.receive(signal.SIGTERM)
        return []

    target.proxy.requests = interrupted
    report = Report()
    with pytest.raises(InterruptedByUserError, match="SIGTERM"):
        switch(target, rollout, report=report)
    assert (target.ended, in_rotation(target)) == ("rolled-back", {"blue-1": 100})
    assert any("interrupt again to stop waiting" in line for line in report.lines)


@pytest.mark.parametrize("after", OVERLAP[:-1])
def test_an_interrupt_between_two_steps_is_rolled_back(after: str) -> None:
    target = stack(hold=False)
    append = target.journal.append

    def journal(**record: Any) -> None:
        append(**record)
        if (record["event"], record.get("step")) == ("done", after):
            INTERRUPTS.receive(signal.SIGINT)

    target.journal.append = journal
    with pytest.raises(InterruptedByUserError):
        switch(target)
    newest, moved = target.history()[-1], after in {"admit", "canary", "switch"}
    assert newest.ended
    assert newest.state == ("switched" if after == "soak" else "rolled-back" if moved else "failed")


def test_a_signal_during_a_rollback_lets_it_end_and_keeps_its_error(capfd: pytest.CaptureFixture[str]) -> None:
    target = busy(green_ms=900)
    remove, calls = target.colours[GREEN].remove, 0

    def removed() -> str:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first call clears the colour for the candidate
            INTERRUPTS.receive(signal.SIGINT)
        return remove()

    target.colours[GREEN].remove = removed  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError):
        switch(target)
    assert (target.ended, in_rotation(target)) == ("rolled-back", {"blue-1": 100})
    assert "rolling back; interrupt again to stop waiting" in capfd.readouterr().err


@pytest.mark.parametrize("hold", [False, True], ids=["overlap", "hold"])
@pytest.mark.parametrize("has_classes", [True, False], ids=["by class", "older release"])
def test_a_second_interrupt_ends_the_wait_for_requests_in_flight(hold: bool, has_classes: bool) -> None:
    target = stack(hold=hold)
    in_flight(target, GREEN, long=Count(2))
    if not has_classes:
        target.colours[GREEN].classes = {}
    append, began = target.journal.append, 0.0

    def interrupted(**record: Any) -> None:
        nonlocal began
        if (record["event"], record.get("step")) == ("done", "switch"):
            began = target.clock.time
            target.clock.hurried_at = began + 3
            raise ProxyError("the target went away")
        append(**record)

    target.journal.append = interrupted
    with pytest.raises(ProxyError):
        switch(target, Rollout(), hold=hold)
    assert 3 <= target.clock.time - began < BUDGETS["short"], "before any budget is over"
    assert (target.ended, in_rotation(target)) == ("rolled-back", {"blue-1": 100})
    kind = "long" if has_classes else "unknown"
    assert target.history()[-1].facts["drain"][kind]["cut"] == 2, "as after a budget"


def test_a_cutover_that_lost_its_lock_in_a_step_does_not_roll_back() -> None:
    target = busy(green_ms=900)

    def lost() -> None:
        target.lock_error = LockLostError("another process holds it")

    at_intent(target, "canary", lost)
    with pytest.raises(LockLostError):
        switch(target)
    assert not [call for call in target.calls[target.calls.index("green-1 ready") + 1 :] if "green" in call]
    assert target.history()[-1].ended == ""
