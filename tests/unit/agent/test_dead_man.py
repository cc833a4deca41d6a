"""What the agent does for a cutover whose orchestrator is silent, from the journal and the proxy alone."""

from __future__ import annotations

from typing import Any

import pytest

from agent.lock import EXPIRY_S
from agent.protocol import Owner
from build.cutover.state_machine import TABLES, next_step
from build.model.states import Strategy
from build.state import history
from tests.unit.agent.world import Container, World

OWNER = Owner("me", "here", "1", "2", "switch").to_json()
WITHIN_S = 45  # clients are served again after the lock's expiry, the load of a model apart


class Silent:
    """An orchestrator that journals up to a step of a cutover from blue to green, and falls silent."""

    def __init__(self, world: World, strategy: str, upto: str, *, pending: bool = True, kind: str = "switch") -> None:
        self.world, self.strategy = world, strategy
        self.epoch = world.ask("lock acquire", owner=OWNER)["epoch"]
        self.write(
            "begin", kind=kind, strategy=strategy, plan={}, rollout={"canary": [5], "soak_s": 60.0}, colour="green",
            release={"sha": "new", "image": "sha256:new"}, previous={"sha": "old", "image": "sha256:old"},
        )  # fmt: skip
        for step in TABLES[Strategy(strategy)]:
            self.write("intent", step=step.name)
            if step.name == upto and pending:
                return
            self.write("done", step=step.name, state=step.ends, facts={})
            if step.name == upto:
                return

    def write(self, event: str, **fields: Any) -> None:
        assert self.world.ask("journal append", epoch=self.epoch, record={"event": event, "cutover": "c", **fields})[
            "ok"
        ]

    def park(self, *slots: str) -> None:
        assert self.world.ask("flags set", epoch=self.epoch, slots={slot: {"parked": True} for slot in slots})["ok"]

    def change(self, *commands: str) -> None:
        assert self.world.ask("proxy change", epoch=self.epoch, commands=list(commands))["ok"]


def candidate(world: World, *, phase: str = "ready", admin: str = "drain") -> Container:
    container = world.containers["green"] = Container("new", phase, proven=True)
    world.proxy.admin["green-1"] = admin
    return container


def journaled(world: World) -> history.Cutover:
    """Return the cutover as the orchestrator reads it."""
    return history.read(world.records())[-1]


def resumes_with(world: World) -> str:
    found = journaled(world)
    step = next_step(found.state, TABLES[found.strategy])
    return step.name if step else ""


def silence(world: World, seconds: float = EXPIRY_S + WITHIN_S) -> None:
    world.guard(seconds)
    assert world.ask("lock show")["owner"] is None, "the agent must release the lock"
    assert world.proxy.hold == "none"


def held(world: World, step: str, phase: str, *, pending: bool = True) -> tuple[Silent, Container, Container]:
    """A hold up to a step: the old colour has no model, and requests wait."""
    world.small = True
    owner = Silent(world, "hold", step, pending=pending)
    new, old = candidate(world, phase=phase), world.containers["blue"]
    assert old
    old.phase = "unloaded"
    owner.change("hold all", "set server app/blue-1 state maint")
    return owner, new, old


def test_a_heartbeat_keeps_the_agent_away(world: World) -> None:
    owner = Silent(world, "overlap", "canary")
    candidate(world, admin="ready")
    for _ in range(10):
        world.guard(EXPIRY_S / 2)
        assert world.ask("lock beat", epoch=owner.epoch)["ok"]
    assert world.proxy.serving() == ["blue", "green"]
    assert world.alerts == []


@pytest.mark.parametrize("step", ["preflight", "start", "warm", "verify", "admit"])
def test_before_traffic_moved_nothing_moves(world: World, step: str) -> None:
    Silent(world, "overlap", step)
    candidate(world)
    silence(world)
    assert world.proxy.serving() == ["blue"]
    assert (journaled(world).step, journaled(world).agent) == (step, "nothing")
    (alert,) = world.alerts
    assert step in alert
    assert "new" in alert


@pytest.mark.parametrize(("step", "pending"), [("canary", True), ("canary", False), ("switch", True)])
def test_a_split_returns_to_the_old_colour(world: World, step: str, pending: bool) -> None:
    owner = Silent(world, "overlap", step, pending=pending)
    candidate(world, admin="ready")
    owner.write("share", facts={"share": 5})
    owner.change("set server app/blue-1 weight 75", "set server app/green-1 weight 25")
    if step == "switch":
        owner.change("set server app/blue-1 state drain")
    silence(world)
    assert world.proxy.admin == {"blue-1": "ready", "green-1": "drain"}
    assert set(world.proxy.weights.values()) == {100}
    assert resumes_with(world) == "canary"
    assert "canary" not in journaled(world).facts, "the canary begins anew"
    assert journaled(world).step == "admit", "`abort` discards the candidate"
    old = world.containers["blue"]
    assert old
    assert not old.control("unload", owner.epoch), "what the silent owner may still send is void"


def test_a_split_stays_while_the_old_colour_is_sick(world: World) -> None:
    owner = Silent(world, "overlap", "switch")
    candidate(world, admin="ready")
    owner.change("set server app/blue-1 state drain")
    world.containers["blue"] = None
    silence(world)
    assert world.proxy.serving() == ["green"]


@pytest.mark.parametrize("strategy", ["warm", "overlap"])
def test_a_rollback_is_not_rolled_back(world: World, strategy: str) -> None:
    owner = Silent(world, strategy, "switch", kind="rollback")
    candidate(world, admin="ready")
    owner.change("set server app/blue-1 state drain")
    silence(world)
    assert world.proxy.serving() == ["green"]


@pytest.mark.parametrize(("strategy", "step"), [("overlap", "soak"), ("overlap", "switch"), ("hold", "soak")])
def test_a_healthy_candidate_passes_its_soak_unwatched(world: World, strategy: str, step: str) -> None:
    owner = Silent(world, strategy, step, pending=step == "soak")
    candidate(world, admin="ready")
    owner.change("set server app/blue-1 state drain")
    silence(world)
    assert world.proxy.serving() == ["green"]
    assert (resumes_with(world), journaled(world).facts["soak"]) == ("retire", {"unwatched": True})


def test_a_sick_candidate_of_a_soak_is_replaced_by_the_old_colour(world: World) -> None:
    owner = Silent(world, "overlap", "soak")
    candidate(world, admin="ready").hangs = True
    owner.change("set server app/blue-1 state drain")
    silence(world)
    assert world.proxy.admin == {"blue-1": "ready", "green-1": "maint"}
    assert journaled(world).agent == "standby"
    assert not journaled(world).served


def test_after_the_soak_the_candidate_keeps_serving(world: World) -> None:
    owner = Silent(world, "overlap", "retire")
    candidate(world, admin="ready")
    owner.change("set server app/blue-1 state maint")
    silence(world)
    assert world.proxy.serving() == ["green"]
    assert resumes_with(world) == "retire"


def test_a_gate_that_is_shut_without_a_cutover_opens(world: World) -> None:
    epoch = world.ask("lock acquire", owner=OWNER)["epoch"]
    world.ask("proxy change", epoch=epoch, commands=["hold all"])
    world.ask("lock release", epoch=epoch)
    silence(world)
    assert world.records()[-1]["did"] == "open"
    assert history.read(world.records()) == []


def test_a_broken_lock_does_not_keep_the_gate_shut(world: World) -> None:
    held(world, "load", "unloaded")
    world.ask("lock break", by="operator", reason="the laptop drowned")
    silence(world)
    assert world.proxy.serving() == ["blue"]


def test_a_paused_canary_waits_for_its_operator(world: World) -> None:
    owner = Silent(world, "overlap", "canary")
    candidate(world, admin="ready")
    owner.write("paused", step="canary", error="no result")
    world.ask("lock release", epoch=owner.epoch)
    world.guard(600)
    assert world.proxy.serving() == ["blue", "green"]


def test_an_agent_that_dies_while_it_acts_goes_on_at_once(world: World) -> None:
    held(world, "load", "unloaded")
    world.time += EXPIRY_S + 1
    died = RuntimeError("killed")

    def die(seconds: float) -> None:
        raise died

    world.guardian.clock = world.guardian._rescue._clock = type(world.guardian.clock)(lambda: world.time, die)
    answer = world.target.answer
    world.guardian._rescue._ask = lambda request: {"ok": True} if request["do"] == "lock release" else answer(request)
    world.guardian.tick()
    world.restart_agent()
    world.guard(5)
    assert world.proxy.serving() == ["blue"]
    assert world.proxy.hold == "none"


def test_what_the_agent_settled_is_not_settled_again(world: World) -> None:
    Silent(world, "overlap", "warm")
    candidate(world)
    world.guard(600)
    assert [record["event"] for record in world.records()].count("agent") == 1
    assert len(world.alerts) == 1


def test_an_act_that_the_proxy_refuses_is_tried_until_it_succeeds(world: World) -> None:
    held(world, "load", "unloaded")
    world.proxy.away = True
    world.guard(120)
    assert world.alerts == ["the agent cannot see or act: the proxy's runtime socket does not answer"]
    assert world.ask("lock show")["owner"] is None, "an operator may act meanwhile"
    world.proxy.away = False
    world.guard(5)
    assert world.proxy.serving() == ["blue"]
    assert world.proxy.hold == "none"
