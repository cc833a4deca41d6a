"""The switch on a target in memory: the order of its acts, and what every failure leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from build.decisions.colours import Colour
from build.decisions.history import Release
from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    CommandFailedError,
    DrainError,
    GateRefusedError,
    InterruptedByUserError,
    LeaseLostError,
    LineError,
    NothingToResumeError,
    ProxyError,
)
from build.procedures import cutover
from tests.unit.orchestrator.fakes import NEW, OLD, Report, Target

GREEN = Colour.GREEN


def switch(target: Target, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "switch", lambda _history, _live: NEW)


def moves(target: Target) -> list[str]:
    """What was done to the proxy and to containers, without the lease and the weights."""
    return [
        said for said in target.said if not said.startswith("lease") and said != "released" and "weight" not in said
    ]


def test_traffic_moves_only_after_the_candidate_was_seen_healthy_and_the_old_colour_is_stopped_last() -> None:
    target = Target()
    assert switch(target) == NEW
    assert moves(target) == [
        "green-1 maint", "green stopped", "green removed", "app-green up",
        "green-1 check", "green-1 ready", "blue-1 drain",
        "blue-1 maint", "blue-1 shutdown",
    ]  # fmt: skip
    assert target.ended == "retired"
    assert target.env[-1] == (GREEN, {})
    assert target.history()[-1].facts["standby"] is True


def test_without_standby_the_old_colour_is_stopped() -> None:
    target = Target()
    target.settings = target.settings.model_copy(update={"standby": False})
    switch(target)
    assert moves(target)[-1] == "blue stopped"
    assert target.history()[-1].facts["standby"] is False


def back(target: Target, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "rollback", lambda _history, _live: OLD)


def test_a_way_back_to_what_stands_by_speaks_once_and_moves() -> None:
    target, report = Target(), Report()
    switch(target)
    target.said.clear()
    assert back(target, report) == OLD
    assert moves(target) == [
        "blue-1 check", "blue-1 ready", "green-1 drain", "green-1 maint", "green-1 shutdown", "green stopped",
    ]  # fmt: skip
    assert any("stands by in blue" in line for line in report.lines)
    assert target.ended == "retired"


def test_what_stands_by_and_is_silent_gets_no_traffic() -> None:
    target = Target()
    switch(target)
    target.colours[Colour.BLUE].sound = False
    target.said.clear()
    with pytest.raises(GateRefusedError):
        back(target)
    assert moves(target) == ["blue-1 check", "blue-1 maint"]
    assert target.ended == "failed"
    assert target.history()[-1].facts["gate"]["results"][0]["faults"], "what was measured is journaled"
    assert target.live(target.survey()) is GREEN


def test_a_way_back_to_what_has_stopped_goes_through_all_of_it_and_says_so_first() -> None:
    target, report = Target(), Report()
    switch(target)
    blue = target.colours[Colour.BLUE]
    blue.phase = ""  # it does not answer

    def up(_service: str) -> None:
        blue.holds, blue.phase = OLD, "ready"

    target.compose.up = up
    target.said.clear()
    assert back(target, report) == OLD
    assert "blue removed" in moves(target)
    assert any("must be started first" in line for line in report.lines)


def test_a_way_back_is_never_rolled_back_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    switch(target)
    change = target.proxy.set_admins

    def refuses(*changes: tuple[str, Any]) -> None:
        if ("blue-1", "ready") in changes:
            raise ProxyError("the socket is gone")
        change(*changes)

    monkeypatch.setattr(target.proxy, "set_admins", refuses)
    target.said.clear()
    with pytest.raises(ProxyError):
        back(target)
    assert moves(target) == ["blue-1 check"]
    assert target.ended == "held"


def test_what_is_live_already_is_left_alone() -> None:
    target = Target()
    assert cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: OLD) == OLD
    assert moves(target) == []
    assert target.records == []


def test_the_first_release_goes_to_blue_and_nothing_is_drained() -> None:
    target = Target()
    target.colours[Colour.BLUE].holds = None
    switch(target)
    assert "blue-1 ready" in moves(target)
    assert not [said for said in moves(target) if "drain" in said or "shutdown" in said]
    assert "green-1 maint" in moves(target)


def break_start(target: Target) -> None:
    def up(_service: str) -> None:
        raise CommandFailedError("no such image")

    target.compose.up = up


def exit_early(target: Target) -> None:
    target.colours[GREEN].running = False


def never_ready(target: Target) -> None:
    target.colours[GREEN].phase = "loading"


def silent(target: Target) -> None:
    target.colours[GREEN].sound = False


BEFORE_THE_SWITCH: list[tuple[Callable[[Target], None], type[LineError]]] = [
    (break_start, CommandFailedError),
    (exit_early, CandidateExitedError),
    (never_ready, CandidateStalledError),
    (silent, GateRefusedError),
]


@pytest.mark.parametrize(("spoil", "error"), BEFORE_THE_SWITCH, ids=[spoil.__name__ for spoil, _ in BEFORE_THE_SWITCH])
def test_a_failure_before_the_switch_never_touches_live_traffic(
    spoil: Callable[[Target], None], error: type[LineError]
) -> None:
    target = Target()
    spoil(target)
    with pytest.raises(error) as raised:
        switch(target)
    assert not [said for said in moves(target) if said.startswith("blue")]
    assert moves(target)[-1] == "green removed"
    assert raised.value.detail == "its last words" or (error is GateRefusedError and "bounds" in raised.value.detail)
    assert target.ended == "failed"
    assert target.env[-1] == (Colour.BLUE, {})
    assert target.said[-1] == "released"


def test_a_candidate_that_the_proxy_cannot_reach_gets_no_traffic_and_goes() -> None:
    target = Target()
    target.proxy.reachable = False
    with pytest.raises(ProxyError, match="does not see green-1 healthy"):
        switch(target)
    assert "green-1 ready" not in moves(target)
    assert not [said for said in moves(target) if said.startswith("blue")]
    assert moves(target)[-3:] == ["green-1 check", "green-1 maint", "green removed"]
    assert target.ended == "failed"


def test_a_drain_over_its_budget_keeps_the_new_release_and_kills_nothing() -> None:
    target = Target()
    target.colours[Colour.BLUE].work = 2
    with pytest.raises(DrainError, match="still has 2 requests"):
        switch(target)
    assert moves(target)[-2:] == ["blue-1 drain", "blue-1 maint"]
    assert target.ended == "switched"


def test_an_interruption_is_undone_and_journaled(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()

    def interrupted(*_given: object) -> Any:
        raise InterruptedByUserError("interrupted by SIGINT")

    monkeypatch.setattr(target.colours[GREEN], "speak", interrupted)
    with pytest.raises(InterruptedByUserError):
        switch(target)
    assert moves(target)[-1] == "green removed"
    assert (target.ended, target.history()[-1].error) == ("failed", "interrupted by SIGINT")


def test_when_undoing_fails_too_the_first_error_is_the_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    target, report = Target(), Report()
    exit_early(target)
    remove = target.colours[GREEN].remove

    def proxy_dies() -> str:
        target.proxy.broken = ProxyError("the socket is gone")
        return remove()

    monkeypatch.setattr(target.colours[GREEN], "remove", proxy_dies)
    with pytest.raises(CandidateExitedError):
        switch(target, report)
    assert "and while undoing it: the socket is gone" in report.lines
    assert target.ended == "failed"


def test_another_image_than_the_one_asked_for_never_goes_live() -> None:
    target = Target()

    def up(service: str) -> None:
        target.colours[GREEN].holds = OLD

    target.compose.up = up
    with pytest.raises(CommandFailedError, match="not bbbb"):
        switch(target)
    assert target.ended == "failed"


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
    assert [each.state for each in target.history()] == ["retired"]


def test_no_traffic_goes_to_a_candidate_that_died_after_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    append = target.journal.append

    def dies(**record: Any) -> None:
        append(**record)
        if (record["event"], record.get("step")) == ("intent", "switch"):
            target.colours[GREEN].running = False

    monkeypatch.setattr(target.journal, "append", dies)
    with pytest.raises(CandidateExitedError, match="has ended since it was judged"):
        switch(target)
    assert not [said for said in moves(target) if said in {"green-1 ready", "blue-1 drain"}]
    assert target.ended == "rolled-back"


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
    assert [each.state for each in target.history()] == ["failed", "retired"]


def test_resume_goes_on_from_the_state_that_the_journal_holds() -> None:
    target = Target()
    cut_off(target, *WARMING)
    assert cutover.resume(cast(Any, target), Report()) == NEW
    assert moves(target) == [
        "green-1 check", "green-1 ready", "blue-1 drain", "blue-1 maint", "blue-1 shutdown",
    ]  # fmt: skip
    assert [each.state for each in target.history()] == ["retired"]


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


def test_who_has_lost_the_lease_changes_nothing_more() -> None:
    target = Target()
    compose_up = target.compose.up

    def up(service: str) -> None:
        compose_up(service)
        target.lost = LeaseLostError("it was broken")

    target.compose.up = up
    with pytest.raises(LeaseLostError):
        switch(target)
    assert moves(target)[-1] == "app-green up"
    assert target.history()[-1].state == "starting"


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
