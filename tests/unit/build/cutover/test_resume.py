"""Recovery of a killed cutover by the next one, `resume` or `abort`, from any journaled state."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import (
    CandidateExitedError,
    InconclusiveError,
    NothingToResumeError,
    OrchestratorError,
    RollbackIncompleteError,
)
from build.model.colours import Colour
from build.model.release import Release
from tests.unit.build.cutover import test_hold
from tests.unit.build.cutover.test_hold import target
from tests.unit.build.cutover.test_switch import GREEN, moves, switch
from tests.unit.build.fakes import NEW, OLD, Report, Target

__all__ = ("target",)  # a fixture: a GPU with room for one model


def interrupt(target: Target, *records: dict[str, Any]) -> None:
    """Journal a switch to NEW in green that was killed after `records`."""
    target._append(
        cutover="x", event="begin", kind="switch", strategy="overlap", colour="green",
        release={"sha": NEW.sha, "image": NEW.image}, previous={"sha": OLD.sha, "image": OLD.image},
    )  # fmt: skip
    for record in records:
        target._append(cutover="x", **record)
    target.colours[GREEN].holds = NEW


SWITCHING = ({"event": "done", "state": "admitted"}, {"event": "intent", "step": "switch"})
RETIRING = ({"event": "done", "state": "switched"}, {"event": "intent", "step": "retire"})
WARMING = ({"event": "done", "state": "starting"}, {"event": "intent", "step": "warm"})


def test_the_next_cutover_finishes_a_switch_killed_between_its_two_commands() -> None:
    target = Target()
    interrupt(target, *SWITCHING)
    target.proxy.set_admin("green-1", "ready")
    target.calls.clear()
    assert switch(target) == NEW
    # The last probe asks whether the release that is live by now is well.
    assert moves(target) == ["green-1 ready", "blue-1 drain", "blue-1 maint", "blue-1 shutdown", "green-1 probed"]
    assert [cutover.state for cutover in target.history()] == ["retired"]


def test_a_resumed_retirement_after_a_killed_abort_leaves_the_old_colour_in_rotation() -> None:
    target = Target()
    interrupt(target, *RETIRING)  # and an `abort` gave the traffic back
    target.proxy.set_admin("blue-1", "ready")
    target.proxy.set_admin("green-1", "maint")
    target.calls.clear()
    with pytest.raises(InconclusiveError, match="green is not in rotation"):
        cutover.resume(cast(Any, target), Report())
    assert moves(target) == []
    assert target.history()[-1].paused


def test_a_resumed_switch_moves_no_traffic_to_a_discarded_candidate() -> None:
    target = Target()
    interrupt(target, *SWITCHING)
    target.colours[GREEN].holds = None  # rolled back while a full disk kept the journal from recording it
    with pytest.raises(CandidateExitedError):
        cutover.resume(cast(Any, target), Report())
    assert "green-1 ready" not in moves(target)
    assert target.ended == "rolled-back"


def test_abort_puts_an_old_colour_that_is_down_into_rotation_and_keeps_the_candidate_until_it_serves() -> None:
    target, report = Target(), Report()
    interrupt(target, *SWITCHING)
    target.proxy.set_admins(("green-1", "ready"), ("blue-1", "maint"))
    target.proxy.reachable = False
    with pytest.raises(
        RollbackIncompleteError, match=r"blue fails .* now serving: bbbbbbbbbbbb in green; the cutover is"
    ):
        cutover.abort(cast(Any, target), report)
    assert [target.proxy.servers_now[name].admin for name in ("blue-1", "green-1")] == ["ready", "ready"]
    assert "green removed" not in target.calls
    assert any("serves as soon as a health check passes" in line for line in report.lines)
    (stuck,) = target.history()
    assert (stuck.ended, stuck.step) == ("", "switch")
    assert "blue fails the proxy's health checks" in stuck.paused

    target.proxy.reachable = True
    assert cutover.abort(cast(Any, target), report) == OLD
    assert (target.ended, target.colours[GREEN].holds) == ("rolled-back", None)


def test_the_next_cutover_rolls_back_a_switch_killed_before_traffic_moved() -> None:
    target = Target()
    interrupt(target, *WARMING)
    assert switch(target) == NEW
    assert moves(target)[:2] == ["green-1 maint", "green removed"]
    assert [cutover.state for cutover in target.history()] == ["failed", "retired"]


def roll_back(target: Target) -> None:
    cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: OLD)


def test_a_rollback_does_not_wait_until_the_old_colour_is_empty() -> None:
    target = Target()
    interrupt(target, *RETIRING)
    target.proxy.set_admins(("green-1", "ready"), ("blue-1", "drain"))
    target.colours[Colour.BLUE].work = 2
    roll_back(target)
    assert target.took_over
    assert target.clock.time < target.settings.drain_short_s
    assert target.proxy.servers_now["blue-1"].admin == "ready"
    assert [cutover.state for cutover in target.history()] == ["switched", "retired"]


@pytest.mark.parametrize("records", [(), WARMING, SWITCHING])
def test_a_rollback_takes_the_lock_from_no_cutover_that_may_still_fail(records: tuple[dict[str, Any], ...]) -> None:
    target = Target()
    interrupt(target, *records)
    with suppress(OrchestratorError):
        roll_back(target)
    assert not target.took_over


def test_only_a_rollback_takes_the_lock_from_a_cutover_that_drains() -> None:
    target = Target()
    interrupt(target, *RETIRING)
    target.proxy.set_admins(("green-1", "ready"), ("blue-1", "drain"))
    assert switch(target) == NEW
    assert not target.took_over


def test_resume_continues_from_the_journaled_state() -> None:
    target = Target()
    interrupt(target, *WARMING)
    assert cutover.resume(cast(Any, target), Report()) == NEW
    assert moves(target) == [
        "green-1 check", "green-1 probed", "green-1 ready", "blue-1 drain", "blue-1 maint", "blue-1 shutdown",
    ]  # fmt: skip
    assert [cutover.state for cutover in target.history()] == ["retired"]


@pytest.mark.parametrize(("records", "calls", "ended"), [
    ((), [], "failed"),
    (WARMING, ["green-1 maint", "green removed"], "failed"),
    (SWITCHING, ["blue-1 probed", "blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
                 "green-1 maint", "green removed"], "rolled-back"),
    (RETIRING, ["blue-1 probed", "blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
                "green-1 maint", "green removed"], "rolled-back"),
], ids=["begun", "warming", "switching", "retiring"])  # fmt: skip
def test_abort_rolls_back_from_any_state(records: Any, calls: list[str], ended: str) -> None:
    target = Target()
    interrupt(target, *records)
    if records in (SWITCHING, RETIRING):
        target.proxy.set_admin("green-1", "drain")
    if records is RETIRING:
        target.proxy.set_admin("blue-1", "drain")
    target.calls.clear()
    assert cutover.abort(cast(Any, target), Report()) == OLD
    assert moves(target) == calls
    assert (target.ended, target.history()[-1].error) == (ended, "aborted by the operator")


def test_the_only_running_release_is_not_aborted() -> None:
    target = Target()
    interrupt(target, *RETIRING)
    target.colours[Colour.BLUE].running = False
    target.calls.clear()
    with pytest.raises(NothingToResumeError, match="the old colour has stopped"):
        cutover.abort(cast(Any, target), Report())
    assert moves(target) == []
    assert target.history()[-1].ended == ""


@pytest.mark.parametrize("act", [cutover.resume, cutover.abort])
def test_resume_and_abort_require_a_cutover_in_progress(act: Any) -> None:
    with pytest.raises(NothingToResumeError):
        act(cast(Any, Target()), Report())


def test_a_rollback_picks_its_release_after_finishing_a_killed_cutover() -> None:
    target = Target()
    interrupt(target, *RETIRING)
    target.proxy.set_admin("green-1", "ready")
    target.proxy.set_admin("blue-1", "drain")
    chosen: list[Release | None] = []
    target.start = lambda _slot: setattr(target.colours[Colour.BLUE], "holds", OLD)

    def choose(_history: Any, live: Release | None) -> Release:
        chosen.append(live)
        return OLD

    assert cutover.run(cast(Any, target), Report(), "rollback", choose) == OLD
    assert chosen == [NEW]


@pytest.mark.parametrize(
    ("killed_at", "command"),
    [
        (step, command)
        for step in ("park", "hold", "load", "verify", "admit", "switch", "retire")
        for command in ("resume", "abort", "switch")
        if (step, command) != ("retire", "abort")
    ],  # see test_the_only_running_release_is_not_aborted
)
def test_a_hold_killed_in_any_state_is_finished_or_rolled_back(
    target: Target, killed_at: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    append = target.journal.append

    def crash(**record: Any) -> None:
        if record["event"] == "done" and record["step"] == killed_at:
            raise Killed  # after the action, before its record
        append(**record)

    monkeypatch.setattr("build.cutover.executor.undo", lambda *_: None)  # as if the process were gone
    target.journal.append = crash
    with pytest.raises(Killed):
        test_hold.switch(target)
    monkeypatch.undo()
    target.journal.append = append

    recover = {"resume": cutover.resume, "abort": cutover.abort}.get(command)
    assert (recover(cast(Any, target), Report()) if recover else test_hold.switch(target)) == (
        OLD if command == "abort" else NEW
    )
    assert (target.proxy.mode, target.orders.parked) == ("none", set())
    live = target.live(target.survey())
    assert live
    assert target.colours[live].holds == (OLD if command == "abort" else NEW)
    assert target.colours[live].phase == "ready"
    assert target.colours[live].running
    assert target.history()[-1].ended
