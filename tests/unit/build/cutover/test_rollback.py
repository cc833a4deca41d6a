"""A rollback on a target in memory: to a release on standby, and to a stopped one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import (
    CandidateExitedError,
    GateRefusedError,
    ProxyError,
)
from build.model.colours import Colour, Slot
from build.model.release import Release
from tests.unit.build.cutover.test_switch import GREEN, at_the_switch, moves, switch
from tests.unit.build.fakes import OLD, Report, Target


def rollback(target: Target, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "rollback", lambda _history, _live: OLD)


def test_a_rollback_to_a_standby_release_takes_one_synthesis_and_one_health_check() -> None:
    target, report = Target(), Report()
    switch(target)
    target.calls.clear()
    assert rollback(target, report) == OLD
    assert moves(target) == [
        "blue-1 probed", "blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
    ]  # fmt: skip
    assert any("on standby in blue" in line for line in report.lines)
    assert target.ended == "retired"


def test_a_silent_standby_release_gets_no_traffic() -> None:
    target = Target()
    switch(target)
    target.colours[Colour.BLUE].audible = False
    target.calls.clear()
    with pytest.raises(GateRefusedError):
        rollback(target)
    assert moves(target) == []
    assert target.ended == "failed"
    assert target.history()[-1].facts["gate"]["results"][0]["faults"], "the measurements are journaled"
    assert target.live(target.survey()) is GREEN


def test_a_rollback_to_a_stopped_release_runs_all_steps_and_reports_it_first() -> None:
    target, report = Target(), Report()
    switch(target)
    blue = target.colours[Colour.BLUE]
    blue.phase = ""  # no response

    def up(_slot: Slot) -> None:
        blue.holds, blue.phase = OLD, "ready"

    target.start = up
    target.calls.clear()
    assert rollback(target, report) == OLD
    assert "blue removed" in moves(target)
    assert any("must start first" in line for line in report.lines)


def test_a_failed_rollback_is_not_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    switch(target)
    change = target.proxy.set_admins

    def refuse(*changes: tuple[str, Any]) -> None:
        if ("blue-1", "ready") in changes:
            raise ProxyError("the socket is gone")
        change(*changes)

    monkeypatch.setattr(target.proxy, "set_admins", refuse)
    target.calls.clear()
    with pytest.raises(ProxyError):
        rollback(target)
    assert moves(target) == ["blue-1 probed"]
    assert target.ended == "held"


def test_a_hanging_standby_release_gets_no_traffic_and_is_not_removed() -> None:
    target = Target()
    switch(target)
    target.calls.clear()
    at_the_switch(target, lambda: setattr(target.proxy, "hung", "blue-1"))
    with pytest.raises(CandidateExitedError, match="hangs or was taken out after the gate"):
        rollback(target)
    assert moves(target) == ["blue-1 probed"]
    assert target.ended == "held"
