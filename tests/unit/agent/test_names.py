"""The agent imports nothing of the orchestrator, so it knows slots and states by name: they must be the same."""

from __future__ import annotations

from agent import cutovers, servers
from build.cutover.state_machine import TABLES
from build.model import states
from build.model.colours import Colour
from build.model.states import State


def test_the_slots_are_those_of_the_stack() -> None:
    for colour in Colour:
        assert servers.slots(colour.servers[:1]) == colour.servers
        assert tuple(map(servers.profile, colour.servers)) == colour.profiles
        assert cutovers.other(colour) == colour.other


def test_the_states_are_those_of_the_journal() -> None:
    assert set(cutovers.FINAL) == set(states.FINAL)
    assert set(cutovers.SERVING) == set(states.SERVING)
    after_the_gate = {state for table in TABLES.values() for state in ends_after_the_gate([s.ends for s in table])}
    assert set(cutovers.PROVEN) == after_the_gate | {State.VERIFIED}


def ends_after_the_gate(ends: list[State]) -> list[State]:
    """Return the states of a table from the gate on; all of a table without one, whose release has passed it before."""
    return ends[ends.index(State.VERIFIED) :] if State.VERIFIED in ends else ends
