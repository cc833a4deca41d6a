"""The switch on a target in memory: the order of its actions, and the state after each failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    CommandFailedError,
    DrainError,
    GateRefusedError,
    InterruptedByUserError,
    LockLostError,
    OrchestratorError,
    ProxyError,
)
from build.model.colours import Colour, Slot
from build.model.release import Release
from tests.unit.build.fakes import NEW, OLD, Report, Target

GREEN = Colour.GREEN


def switch(target: Target, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "switch", lambda _history, _live: NEW)


def moves(target: Target) -> list[str]:
    """The calls to the proxy and to containers, without the lock and the weights."""
    return [
        call for call in target.calls if not call.startswith("lock") and call != "released" and "weight" not in call
    ]


def test_traffic_moves_after_the_health_check_and_the_old_colour_drains_last() -> None:
    target = Target()
    assert switch(target) == NEW
    assert moves(target) == [
        "green-1 maint", "green stopped", "green removed", "app-green up",
        "green-1 check", "green-1 probed", "green-1 ready", "blue-1 drain",
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


@pytest.mark.parametrize(("keys", "status"), [("", 401), ("", 422), ("", 0), ("/keys", 200), ("/keys", 404)])
def test_a_candidate_that_answers_a_client_without_a_key_wrongly_gets_no_traffic(keys: str, status: int) -> None:
    target = Target()
    target.place = replace(target.place, keys_folder=keys)
    target.proxy.status = status
    with pytest.raises(
        GateRefusedError, match=rf"green-1 answers {status or 'nothing'} instead of {401 if keys else 200}"
    ):
        switch(target)
    assert target.proxy.asked == ["green-1"]
    assert target.ended == "failed"
    assert target.live(target.survey()) is Colour.BLUE


def test_a_candidate_must_ask_clients_for_a_key_where_keys_are_set() -> None:
    target = Target()
    target.place = replace(target.place, keys_folder="/keys")
    target.proxy.status = 401
    assert switch(target) == NEW
    assert target.history()[-1].facts["client_status"] == 401


def test_a_switch_to_the_live_release_changes_nothing() -> None:
    target = Target()
    assert cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: OLD) == OLD
    assert moves(target) == ["blue-1 probed"]
    assert target.records == []


def test_the_first_release_goes_to_blue_and_nothing_is_drained() -> None:
    target = Target()
    target.colours[Colour.BLUE].holds = None
    switch(target)
    assert "blue-1 ready" in moves(target)
    assert not [call for call in moves(target) if "drain" in call or "shutdown" in call]
    assert "green-1 maint" in moves(target)


def break_start(target: Target) -> None:
    def up(_slot: Slot) -> None:
        raise CommandFailedError("no such image")

    target.start = up


def exit_early(target: Target) -> None:
    target.colours[GREEN].running = False


def never_ready(target: Target) -> None:
    target.colours[GREEN].phase = "loading"


def silent(target: Target) -> None:
    target.colours[GREEN].audible = False


BEFORE_THE_SWITCH: list[tuple[Callable[[Target], None], type[OrchestratorError]]] = [
    (break_start, CommandFailedError),
    (exit_early, CandidateExitedError),
    (never_ready, CandidateStalledError),
    (silent, GateRefusedError),
]


@pytest.mark.parametrize(("spoil", "error"), BEFORE_THE_SWITCH, ids=[spoil.__name__ for spoil, _ in BEFORE_THE_SWITCH])
def test_a_failure_before_the_switch_does_not_affect_live_traffic(
    spoil: Callable[[Target], None], error: type[OrchestratorError]
) -> None:
    target = Target()
    spoil(target)
    with pytest.raises(error) as raised:
        switch(target)
    assert not [call for call in moves(target) if call.startswith("blue")]
    assert moves(target)[-1] == "green removed"
    assert raised.value.detail == "last log lines" or (error is GateRefusedError and "bounds" in raised.value.detail)
    assert target.ended == "failed"
    assert target.env[-1] == (Colour.BLUE, {})
    assert target.calls[-1] == "released"


def test_a_candidate_that_the_proxy_cannot_reach_is_removed() -> None:
    target = Target()
    target.proxy.reachable = False
    with pytest.raises(ProxyError, match="health check of green-1 fails"):
        switch(target)
    assert "green-1 ready" not in moves(target)
    assert not [call for call in moves(target) if call.startswith("blue")]
    assert moves(target)[-3:] == ["green-1 check", "green-1 maint", "green removed"]
    assert target.ended == "failed"


def test_a_drain_over_its_budget_keeps_the_new_release_and_stops_no_container() -> None:
    target = Target()
    target.colours[Colour.BLUE].work = 2
    with pytest.raises(DrainError, match="still has 2 requests"):
        switch(target)
    assert moves(target)[-2:] == ["blue-1 drain", "blue-1 maint"]
    assert target.ended == "switched"


def test_an_interrupted_switch_is_rolled_back_and_journaled(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()

    def interrupted(*_request: object) -> Any:
        raise InterruptedByUserError("interrupted by SIGINT")

    monkeypatch.setattr(target.colours[GREEN], "speak", interrupted)
    with pytest.raises(InterruptedByUserError):
        switch(target)
    assert moves(target)[-1] == "green removed"
    assert (target.ended, target.history()[-1].error) == ("failed", "interrupted by SIGINT")


def at_the_switch(target: Target, act: Callable[[], None]) -> None:
    """Call `act` when the intent of the switch is journaled."""
    append = target.journal.append

    def journal(**record: Any) -> None:
        append(**record)
        if (record["event"], record.get("step")) == ("intent", "switch"):
            act()

    target.journal.append = journal


def test_no_traffic_goes_to_a_candidate_that_hangs_after_the_gate() -> None:
    target = Target()
    at_the_switch(target, lambda: setattr(target.proxy, "hung", "green-1"))
    with pytest.raises(CandidateExitedError, match="hangs or was taken out after the gate"):
        switch(target)
    assert "green-1 ready" not in moves(target)
    assert target.ended == "rolled-back"


def test_a_different_image_than_the_requested_one_never_goes_live() -> None:
    target = Target()

    def up(_slot: Slot) -> None:
        target.colours[GREEN].holds = OLD

    target.start = up
    with pytest.raises(CommandFailedError, match="instead of bbbb"):
        switch(target)
    assert target.ended == "failed"


def test_no_traffic_goes_to_a_candidate_that_died_after_the_gate() -> None:
    target = Target()
    at_the_switch(target, lambda: setattr(target.colours[GREEN], "running", False))
    with pytest.raises(CandidateExitedError, match="exited, hangs or was taken out after the gate"):
        switch(target)
    assert not [call for call in moves(target) if call in {"green-1 ready", "blue-1 drain"}]
    assert target.ended == "rolled-back"


def test_a_cutover_that_lost_its_lock_changes_nothing() -> None:
    target = Target()
    start = target.start

    def up(slot: Slot) -> None:
        start(slot)
        target.lock_error = LockLostError("it was broken")

    target.start = up
    with pytest.raises(LockLostError):
        switch(target)
    assert moves(target)[-1] == "app-green up"
    assert target.history()[-1].state == "preflighted"
