"""Which process gets the cutover lock, with the agent's own rules."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from agent.lock import Lock
from agent.protocol import Owner, RefusedError
from agent.rescue import ME
from build.agent_client import AgentClient
from build.errors import InterruptedByUserError, LockHeldError
from build.state import cutover_lock
from build.state.cutover_lock import CutoverLock
from build.system.interrupts import INTERRUPTS, Interrupts


class Agent:
    """The lock of an agent, held by a process of another machine."""

    def __init__(self) -> None:
        self.epoch = 0
        self.on_acquire: Callable[[], None] = lambda: None
        self.lock = Lock().acquire(Owner("ci", "runner", "1", "1", "switch", id="first"), 0)

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        if operation == "lock show":
            owner = self.lock.owner
            return {"owner": owner and owner.to_json(), "epoch": self.lock.epoch, "expired": False}
        assert operation == "lock acquire"
        self.on_acquire()
        try:
            self.lock = self.lock.acquire(Owner.from_json(fields["owner"]), 0, takeover=fields.get("takeover"))
        except RefusedError as refused:
            raise LockHeldError(str(refused)) from None
        return {"epoch": self.lock.epoch}

    def change(self, operation: str) -> None:
        assert operation == "lock release"
        self.lock = self.lock.release(self.epoch)


@pytest.fixture
def agent() -> Agent:
    return Agent()


def held(agent: Agent, may_take_over: Callable[[], bool]) -> Any:
    return CutoverLock(cast(AgentClient, agent)).held("rollback", may_take_over=may_take_over)


def test_a_lock_whose_owner_may_be_taken_over_passes_on_at_once(agent: Agent) -> None:
    with held(agent, lambda: True):
        assert agent.lock.owner
        assert agent.lock.owner.what == "rollback"
        with pytest.raises(RefusedError, match="epoch 1 is over"):
            agent.lock.check(1, 0)


def test_any_other_owner_keeps_the_lock(agent: Agent) -> None:
    with pytest.raises(LockHeldError, match="ci@runner"), held(agent, lambda: False):
        pass
    agent.lock.check(1, 0)


def test_a_command_waits_for_the_agent_which_is_soon_done(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutover_lock, "WAIT_S", 0.01)
    agent.lock = agent.lock.release(1).acquire(ME, 0)
    asked: list[int] = []

    def ends_at_the_third() -> None:
        asked.append(1)
        if len(asked) == 3:
            agent.lock = agent.lock.release(2)

    agent.on_acquire = ends_at_the_third
    with held(agent, lambda: False):
        assert len(asked) == 3


def test_an_agent_that_acts_for_long_is_named(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutover_lock, "AGENT_S", 0)
    agent.lock = agent.lock.release(1).acquire(ME, 0)
    with pytest.raises(LockHeldError, match="the target's agent, in the place of"), held(agent, lambda: False):
        pass


def test_an_owner_that_follows_meanwhile_keeps_the_lock(agent: Agent) -> None:
    def judge() -> bool:
        agent.lock = agent.lock.release(1).acquire(Owner("op", "laptop", "2", "2", "switch", id="second"), 0)
        return True

    with pytest.raises(LockHeldError), held(agent, judge):
        pass
    agent.lock.check(2, 0)


def test_an_interrupt_during_the_acquisition_releases_the_lock(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in vars(Interrupts()).items():
        monkeypatch.setattr(INTERRUPTS, name, value)
    agent.lock = agent.lock.release(1)
    agent.on_acquire = lambda: INTERRUPTS.receive(signal.SIGINT)
    with pytest.raises(InterruptedByUserError), held(agent, lambda: False):
        INTERRUPTS.check()
    assert agent.lock.owner is None
    assert agent.epoch == 0


def test_an_owner_that_asks_again_keeps_its_epoch() -> None:
    owner = Owner("ci", "runner", "1", "1", "switch", id="first")
    lock = Lock().acquire(owner, 0)
    again = lock.acquire(owner, 20)
    assert again.epoch == lock.epoch
    again.check(lock.epoch, 45)
