"""What a killed cutover leaves: settled by the next one, resumed or aborted, from whatever state the journal holds."""

from __future__ import annotations

from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import CandidateExitedError, NothingToResumeError
from build.model.colours import Colour
from build.model.release import Release
from tests.unit.build.cutover import test_hold
from tests.unit.build.cutover.test_hold import target
from tests.unit.build.cutover.test_switch import GREEN, moves, switch
from tests.unit.build.fakes import NEW, OLD, Report, Target

__all__ = ("target",)  # a fixture: a GPU with room for one model


def cut_off(target: Target, *records: dict[str, Any]) -> None:
    """The journal of a switch to NEW in green that was killed after `records`."""
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


def test_a_switch_killed_between_its_two_commands_is_finished_by_the_next_one() -> None:
    target = Target()
    cut_off(target, *SWITCHING)
    target.proxy.set_admin("green-1", "ready")
    target.said.clear()
    assert switch(target) == NEW
    assert moves(target) == ["green-1 ready", "blue-1 drain", "blue-1 maint", "blue-1 shutdown"]
    assert [cutover.state for cutover in target.history()] == ["retired"]


def test_a_resumed_switch_moves_nothing_to_a_candidate_that_was_discarded_meanwhile() -> None:
    target = Target()
    cut_off(target, *SWITCHING)
    target.colours[GREEN].holds = None  # a full disk let it be undone, and the journal could not say so
    with pytest.raises(CandidateExitedError):
        cutover.resume(cast(Any, target), Report())
    assert "green-1 ready" not in moves(target)
    assert target.ended == "rolled-back"


def test_an_old_colour_that_is_down_is_in_rotation_again_and_serves_as_soon_as_it_can() -> None:
    target, report = Target(), Report()
    cut_off(target, *SWITCHING)
    target.proxy.set_admins(("green-1", "ready"), ("blue-1", "maint"))
    target.proxy.reachable = False
    assert cutover.abort(cast(Any, target), report) == OLD
    assert target.proxy.servers_now["blue-1"].admin == "ready"
    assert target.ended == "rolled-back"
    assert any("serves as soon as it is" in line for line in report.lines)


def test_a_switch_killed_before_it_moved_anything_is_given_up() -> None:
    target = Target()
    cut_off(target, *WARMING)
    assert switch(target) == NEW
    assert moves(target)[:2] == ["green-1 maint", "green removed"]
    assert [cutover.state for cutover in target.history()] == ["failed", "retired"]


def test_resume_goes_on_from_the_state_that_the_journal_holds() -> None:
    target = Target()
    cut_off(target, *WARMING)
    assert cutover.resume(cast(Any, target), Report()) == NEW
    assert moves(target) == [
        "green-1 check", "green-1 probed", "green-1 ready", "blue-1 drain", "blue-1 maint", "blue-1 shutdown",
    ]  # fmt: skip
    assert [cutover.state for cutover in target.history()] == ["retired"]


@pytest.mark.parametrize(("records", "undone", "ended"), [
    ((), [], "failed"),
    (WARMING, ["green-1 maint", "green removed"], "failed"),
    (SWITCHING, ["blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
                 "green-1 maint", "green removed"], "rolled-back"),
    (RETIRING, ["blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
                "green-1 maint", "green removed"], "rolled-back"),
], ids=["begun", "warming", "switching", "retiring"])  # fmt: skip
def test_abort_undoes_what_was_done_from_any_state(records: Any, undone: list[str], ended: str) -> None:
    target = Target()
    cut_off(target, *records)
    if records in (SWITCHING, RETIRING):
        target.proxy.set_admin("green-1", "drain")
    if records is RETIRING:
        target.proxy.set_admin("blue-1", "drain")
    target.said.clear()
    assert cutover.abort(cast(Any, target), Report()) == OLD
    assert moves(target) == undone
    assert (target.ended, target.history()[-1].error) == (ended, "aborted by the operator")


def test_what_serves_alone_is_not_aborted() -> None:
    target = Target()
    cut_off(target, *RETIRING)
    target.colours[Colour.BLUE].running = False
    target.said.clear()
    with pytest.raises(NothingToResumeError, match="the old colour has stopped"):
        cutover.abort(cast(Any, target), Report())
    assert moves(target) == []
    assert target.history()[-1].ended == ""


@pytest.mark.parametrize("act", [cutover.resume, cutover.abort])
def test_without_a_cutover_under_way_there_is_nothing_to_resume_or_abort(act: Any) -> None:
    with pytest.raises(NothingToResumeError):
        act(cast(Any, Target()), Report())


def test_a_rollback_chooses_after_the_killed_cutover_is_settled() -> None:
    target = Target()
    cut_off(target, *RETIRING)
    target.proxy.set_admin("green-1", "ready")
    target.proxy.set_admin("blue-1", "drain")
    chosen: list[Release | None] = []
    target.compose.up = lambda _service: setattr(target.colours[Colour.BLUE], "holds", OLD)

    def choose(_history: Any, live: Release | None) -> Release:
        chosen.append(live)
        return OLD

    assert cutover.run(cast(Any, target), Report(), "rollback", choose) == OLD
    assert chosen == [NEW]


@pytest.mark.parametrize(
    ("killed_at", "then"),
    [
        (step, then)
        for step in ("park", "hold", "load", "verify", "admit", "switch", "retire")
        for then in ("resume", "abort", "switch")
        if (step, then) != ("retire", "abort")
    ],  # see test_what_serves_alone_is_not_aborted
)
def test_whatever_state_a_hold_is_killed_in_it_is_finished_or_undone(
    target: Target, killed_at: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    append = target.journal.append

    def lost(**record: Any) -> None:
        if record["event"] == "done" and record["step"] == killed_at:
            raise Killed  # the act is done, and nobody wrote it down
        append(**record)

    monkeypatch.setattr("build.cutover.executor.undo", lambda *_: None)  # as if the process were gone
    target.journal.append = lost
    with pytest.raises(Killed):
        test_hold.switch(target)
    monkeypatch.undo()
    target.journal.append = append

    act = {"resume": cutover.resume, "abort": cutover.abort}.get(then)
    assert (act(cast(Any, target), Report()) if act else test_hold.switch(target)) == (OLD if then == "abort" else NEW)
    assert (target.proxy.mode, target.orders.parked) == ("none", set())
    live = target.live(target.survey())
    assert live
    assert target.colours[live].holds == (OLD if then == "abort" else NEW)
    assert target.colours[live].phase == "ready"
    assert target.colours[live].running
    assert target.history()[-1].ended
