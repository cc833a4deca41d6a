"""`resume`, `abort` and `switch` after the agent's dead man's switch has settled a killed cutover."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from agent import cutovers, dead_man
from agent.dead_man import Did
from agent.servers import Answer, Server
from build.cutover import cutover
from build.cutover.rules import holding
from build.model.colours import Colour
from build.model.rollout import Rollout
from build.state import history
from tests.unit.build.cutover import test_hold
from tests.unit.build.cutover.test_hold import target
from tests.unit.build.fakes import NEW, OLD, Report, Target

__all__ = ("target",)  # a fixture: a GPU with room for one model

BLUE, GREEN = Colour.BLUE, Colour.GREEN
COMMANDS = ("resume", "abort", "switch")


class Killed(BaseException):
    pass


def kill(target: Target, at: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Switch, and be killed in a step, after its action and before its record."""
    append = target.journal.append

    def crash(**record: Any) -> None:
        if record["event"] == "done" and record["step"] == at:
            raise Killed
        append(**record)

    with monkeypatch.context() as patched:
        patched.setattr("build.cutover.executor.undo", lambda *_: None)  # as if the process were gone
        patched.setattr(target.journal, "append", crash)
        with pytest.raises(Killed):
            test_hold.switch(target, **options)


def act(target: Target) -> Did:
    """Do what the agent does for the cutover in progress, and journal it."""
    servers = {
        name: Server(server.admin, server.up, name, answer(target, name))
        for name, server in target.proxy.servers().items()
    }
    current = cutovers.read(json.loads(json.dumps(target.records)))[-1]
    decision = dead_man.decide(current, servers, target.proxy.mode)
    assert decision
    for command in decision.commands:
        apply(target, command)
    if decision.did is Did.RELOAD:
        target.orders.park("green")
        target.orders.unpark(*BLUE.profiles)
        target.colours[GREEN].control("unload", 1)
        target.colours[BLUE].begin_load()
        target.proxy.set_admins(("green-1", "maint"), ("blue-1", "ready"))
        target.proxy.hold("none")
    target._append(
        event="agent", cutover=current.id, did=decision.did, step=decision.step, state=decision.state,
        facts=decision.facts, reason=decision.reason,
    )  # fmt: skip
    return decision.did


def answer(target: Target, name: str) -> Answer:
    container = target.colours[Colour(name.partition("-")[0])]
    return Answer(container.phase if container.running and container.holds else "")


def apply(target: Target, command: str) -> None:
    words = command.split()
    if words[0] == "hold":
        target.proxy.hold(words[1])
    else:
        target.proxy.set_admins((words[2].removeprefix("app/"), int(words[4]) if words[3] == "weight" else words[4]))


def go_on(target: Target, command: str) -> None:
    """Run a command, which must leave the right release live and nothing in progress."""
    goal = OLD if command == "abort" else NEW
    done = {"resume": cutover.resume, "abort": cutover.abort}.get(command)
    assert (done(cast(Any, target), Report()) if done else test_hold.switch(target)) == goal
    live = target.live(target.survey())
    assert live
    assert (target.colours[live].holds, target.colours[live].phase) == (goal, "ready")
    assert (target.proxy.mode, target.orders.parked) == ("none", set())
    assert history.in_progress(target.history()) is None


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("step", ["hold", "load", "verify", "admit"])
def test_a_hold_begins_anew(target: Target, step: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(target, step, monkeypatch)
    assert act(target) is Did.RELOAD
    assert (target.live(target.survey()), target.colours[BLUE].phase) == (BLUE, "ready")
    assert holding.began_at(target.records, target.history()[-1].id) is None, "the next hold has its full budget"
    target.clock.time += 3600
    go_on(target, command)


@pytest.mark.parametrize("command", ["resume", "switch"])
def test_a_hold_that_was_switched_goes_on_with_its_candidate(
    target: Target, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(target, "switch", monkeypatch)
    assert act(target) is Did.SERVE
    go_on(target, command)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("step", ["warm", "admit"])
def test_a_cutover_that_had_moved_nothing_goes_on(step: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    kill(target, step, monkeypatch)
    assert act(target) is Did.NOTHING
    go_on(target, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_switch_that_returned_goes_on_before_it(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    kill(target, "switch", monkeypatch)
    assert act(target) is Did.RETURN
    assert target.live(target.survey()) is BLUE
    go_on(target, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_soak_that_passed_unwatched_is_not_repeated(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target()
    monkeypatch.setattr("build.cutover.steps.canary_soak.CHECK_S", 10.0)
    kill(target, "soak", monkeypatch, rollout=Rollout(soak_s=1.0))
    assert act(target) is Did.SOAK
    go_on(target, command)
    assert target.history()[0].facts["soak"] == {"unwatched": True}
