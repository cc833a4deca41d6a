"""What the agent does for a hold whose orchestrator is silent."""

from __future__ import annotations

import pytest

from agent.lock import EXPIRY_S
from tests.unit.agent.test_dead_man import Silent, candidate, held, journaled, resumes_with, silence
from tests.unit.agent.world import World


@pytest.mark.parametrize(
    ("step", "phase"),
    [("hold", "unloaded"), ("load", "unloaded"), ("load", "ready"), ("verify", "ready"), ("admit", "ready")],
)
@pytest.mark.parametrize("pending", [True, False])
def test_a_hold_ends_with_the_old_model(world: World, step: str, phase: str, pending: bool) -> None:
    owner, new, old = held(world, step, phase, pending=pending)
    owner.park("blue", "blue-2")
    silence(world)
    assert world.proxy.serving() == ["blue"]
    assert (old.phase, new.phase) == ("ready", "unloaded")
    assert resumes_with(world) == "hold"
    assert (world.path / "green/park").exists(), "a candidate that restarts must not load"
    assert not list(world.path.glob("blue*/park"))


def test_a_hold_whose_old_colour_still_serves_only_opens_the_gate(world: World) -> None:
    world.small = True
    owner = Silent(world, "hold", "hold")
    candidate(world, phase="unloaded", admin="maint")
    owner.change("hold long")
    old = world.containers["blue"]
    assert old
    silence(world)
    assert world.proxy.serving() == ["blue"]
    assert not old.control("unload", owner.epoch), "an unload that was under way must not reach the live release"


def test_a_verified_candidate_serves_if_the_old_process_is_gone(world: World) -> None:
    held(world, "admit", "ready")
    world.containers["blue"] = None
    silence(world)
    assert world.proxy.serving() == ["green"]
    assert resumes_with(world) == "soak"


def test_a_verified_candidate_serves_if_the_old_model_does_not_load(world: World) -> None:
    _, new, old = held(world, "admit", "ready")
    old.loads = False
    silence(world, 600)
    assert world.proxy.serving() == ["green"]
    assert (new.phase, old.phase) == ("ready", "unloaded")
    assert journaled(world).agent == "serve"


def test_an_unproven_candidate_never_serves_and_the_gate_opens_all_the_same(world: World) -> None:
    _, new, old = held(world, "load", "ready")
    new.proven = False
    old.loads = False
    silence(world, 600)
    assert world.proxy.serving() == ["blue"]
    assert journaled(world).agent == "open"


def test_a_model_that_loads_late_is_still_awaited(world: World) -> None:
    """Neither model loads in time; then the old one has room."""
    _, new, old = held(world, "admit", "ready")
    world.guard(EXPIRY_S)
    old.loads = new.loads = False
    silence(world, 1000)
    assert (journaled(world).agent, old.phase, new.phase) == ("open", "unloaded", "unloaded")
    old.loads = True
    world.guard(5)
    assert (old.phase, world.proxy.serving()) == ("ready", ["blue"])
    assert not (world.path / "blue/park").exists()


def test_a_hold_that_was_switched_already_keeps_its_candidate(world: World) -> None:
    owner, _, _ = held(world, "switch", "ready")
    owner.change("set server app/green-1 state ready", "hold none")
    silence(world)
    assert world.proxy.serving() == ["green"]
    assert resumes_with(world) == "soak"
