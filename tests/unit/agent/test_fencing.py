"""Whatever owners do and however late: one epoch at a time has effects, and no epoch is granted twice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.haproxy import HAProxy
from agent.lock import EXPIRY_S
from agent.protocol import Owner, Refusal
from agent.start_flags import StartFlags
from agent.target import Target

OWNERS = st.sampled_from(["a", "b", "c"])


class Proxy(HAProxy):
    """Remembers who changed it."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def change(self, commands: Any) -> str:
        self.changes += commands
        return ""


class Owners(RuleBasedStateMachine):
    """Three orchestrators that acquire, act, fall silent, wake up late, and an agent that restarts at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.time, self.proxy = 1000.0, Proxy()
        self.epochs: dict[str, int] = {}  # the epoch that each owner believes in
        self.granted: list[int] = []
        self.current: tuple[str, int] | None = None  # by the rules of the lock, reckoned apart from it
        self.heard = 0.0
        self.restart()

    def teardown(self) -> None:
        self.folder.cleanup()

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        return self.target.answer({"do": operation, **fields})

    @property
    def owner(self) -> str | None:
        """The owner whose requests have effects now."""
        return self.current[0] if self.current and self.time - self.heard <= EXPIRY_S else None

    @rule()
    def restart(self) -> None:
        path = Path(self.folder.name)
        self.target = Target(path, self.proxy, StartFlags(path), lambda: self.time)
        self.heard = self.time  # a restarted agent hears from everybody anew

    @rule(seconds=st.floats(0.1, 2 * EXPIRY_S))
    def wait(self, seconds: float) -> None:
        self.time += seconds

    @rule(name=OWNERS)
    def acquire(self, name: str) -> None:
        before = self.owner
        owner = Owner(user=name, host="h", pid="1", started="1", what="switch").to_json()
        answer = self.ask("lock acquire", owner=owner)
        assert answer["ok"] is (before is None)
        if answer["ok"]:
            assert answer["epoch"] not in self.granted
            self.granted.append(answer["epoch"])
            self.epochs[name] = answer["epoch"]
            self.current, self.heard = (name, answer["epoch"]), self.time

    def _has_effect(self, name: str) -> bool:
        return self.owner == name and self.current == (name, self.epochs[name])

    @precondition(lambda self: self.epochs)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.epochs)))
        expected = self._has_effect(name)
        assert self.ask("lock beat", epoch=self.epochs[name])["ok"] is expected
        if expected:
            self.heard = self.time

    @precondition(lambda self: self.epochs)
    @rule(data=st.data(), operation=st.sampled_from(["proxy change", "journal append", "flags set", "confirm"]))
    def act(self, data: st.DataObject, operation: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.epochs)))
        fields = {"commands": [name], "record": {"by": name}, "slots": {"blue": {"parked": False, "device": name}}}
        expected, changes = self._has_effect(name), len(self.proxy.changes)
        records = len(self.ask("journal read")["records"])
        answer = self.ask(operation, epoch=self.epochs[name], **fields)
        assert answer["ok"] is expected
        if expected:
            self.heard = self.time  # an effect counts as a heartbeat
        else:
            assert answer["refusal"] == Refusal.FENCED
            assert len(self.proxy.changes) == changes
            assert len(self.ask("journal read")["records"]) == records

    @precondition(lambda self: self.epochs)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.epochs)))
        self.ask("lock release", epoch=self.epochs[name])
        if self.current == (name, self.epochs[name]):
            self.current = None

    @rule()
    def break_lock(self) -> None:
        assert self.ask("lock break", by="me", reason="the laptop drowned")["ok"]
        self.current = None

    @invariant()
    def epochs_only_grow(self) -> None:
        assert self.granted == sorted(self.granted)
        assert self.ask("lock show")["epoch"] == (self.granted[-1] if self.granted else 0)


TestFencing = Owners.TestCase
TestFencing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
