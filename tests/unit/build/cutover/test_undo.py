"""Rollback with faults at every point: no release that serves is removed, and no record of the end is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.cutover import cutover
from build.errors import (
    CandidateExitedError,
    CommandFailedError,
    OrchestratorError,
    ProxyError,
    RollbackIncompleteError,
    StateCorruptError,
)
from build.model.colours import Colour, Slot
from tests.unit.build.cutover.test_switch import exit_early, moves, switch
from tests.unit.build.fake_proxy import PatchedProxy
from tests.unit.build.fakes import NEW, OLD, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
FOREVER = 10**6


@dataclass(frozen=True)
class Killed:
    """A cutover that was killed in a step: the last state, and what proxy and containers look like by then.

    `servers`: server and its state; all others are in maint. `unloaded`: colours without their model.
    """

    step: str
    state: str
    servers: tuple[tuple[str, str], ...]
    strategy: str = "overlap"
    gate: str = "none"
    unloaded: tuple[Colour, ...] = ()


BOTH = (("blue-1", "ready"), ("green-1", "ready"))
MOVED = (("blue-1", "drain"), ("green-1", "ready"))
CASES = [
    Killed("warm", "starting", (("blue-1", "ready"),)),
    Killed("admit", "verified", (("blue-1", "ready"), ("green-1", "drain"))),
    Killed("canary", "admitted", BOTH),
    Killed("switch", "admitted", (("blue-1", "ready"), ("green-1", "drain"))),
    Killed("switch", "admitted", BOTH),
    Killed("switch", "admitted", MOVED),
    Killed("soak", "switched", (*MOVED, ("blue-1-standby", "ready"))),
    Killed("retire", "switched", MOVED),
    Killed("retire", "switched", (("green-1", "ready"),)),
    Killed("park", "preflighted", (("blue-1", "ready"),), "hold", unloaded=(GREEN,)),
    Killed("hold", "parked", (("blue-1", "ready"),), "hold", "long", unloaded=(GREEN,)),
    Killed("hold", "parked", (), "hold", "all", unloaded=(BLUE, GREEN)),
    Killed("load", "holding", (), "hold", "all", unloaded=(BLUE,)),
    Killed("admit", "verified", (("green-1", "drain"),), "hold", "all", unloaded=(BLUE,)),
    Killed("switch", "admitted", (("green-1", "ready"),), "hold", unloaded=(BLUE,)),
    Killed("soak", "switched", (("green-1", "ready"),), "hold", unloaded=(BLUE,)),
    Killed("retire", "switched", (("green-1", "ready"),), "hold", unloaded=(BLUE,)),
]


def killed(case: Killed) -> Target:
    target = Target()
    device = target.with_gpu(10)
    begin = {
        "event": "begin", "kind": "switch", "strategy": case.strategy, "colour": "green",
        "plan": {"strategy": case.strategy, "devices": ["GPU-1"], "enough": 8, "live": 8},
        "rollout": {"canary": [25], "soak_s": 5, "replicas": 1},
        "release": {"sha": NEW.sha, "image": NEW.image}, "previous": {"sha": OLD.sha, "image": OLD.image},
    }  # fmt: skip
    for record in (begin, {"event": "done", "state": case.state}, {"event": "intent", "step": case.step}):
        target._append(cutover="x", **record)
    target.colours[GREEN].holds = NEW
    for colour in Colour:
        loaded = colour not in case.unloaded
        target.colours[colour].phase = "ready" if loaded else "unloaded"
        device.claims[colour.value] = 8 * loaded * (case.strategy == "hold")
    target.orders.parked = {colour.value for colour in case.unloaded}
    for name, server in target.proxy.servers_now.items():
        admin = dict(case.servers).get(name, "maint")
        target.proxy.servers_now[name] = replace(server, admin=cast(Any, admin), up=admin != "maint")
    target.proxy.mode = case.gate
    return target


class Faults:
    """Count the operations of a rollback; those with numbers from `first` on fail, `count` in a row."""

    def __init__(self, target: Target, first: int, count: int) -> None:
        self.operations = 0
        self.unsafe: list[str] = []  # collected, since a rollback catches every Exception
        self._had_traffic = in_rotation(target, GREEN)
        self._failing = range(first, first + count)
        self._target = target
        target.proxy = cast(Any, PatchedProxy(target.proxy, lambda _name: self._operate(ProxyError)))
        target.journal.append = self._wrap(target.journal.append, StateCorruptError)
        green = target.colours[GREEN]
        green.stop = self._wrap(green.stop, CommandFailedError)  # type: ignore[method-assign]
        green.remove = self._wrap(self._checked(green.remove), CommandFailedError)  # type: ignore[method-assign]
        target.orders.unpark = self._wrap(target.orders.unpark, CommandFailedError)  # type: ignore[method-assign]

    def heal(self) -> None:
        self._failing = range(0)

    def _operate(self, error: type[OrchestratorError]) -> None:
        self.operations += 1
        if self.operations - 1 in self._failing:
            raise error("a fault")

    def _wrap(self, call: Callable[..., Any], error: type[OrchestratorError]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self._operate(error)
            return call(*args, **options)

        return wrapped

    def _checked(self, remove: Callable[[], str]) -> Callable[[], str]:
        def checked() -> str:
            if in_rotation(self._target, GREEN):
                self.unsafe.append("a release in rotation is removed")
            if self._had_traffic and not serves(self._target, BLUE) and self._target.proxy.mode != "all":
                self.unsafe.append("no other release serves, and no request waits")
            return remove()

        return checked


def in_rotation(target: Target, colour: Colour) -> bool:
    return any(target.proxy.servers_now[name].admin == "ready" for name in (*colour.servers, *colour.standbys))


def serves(target: Target, colour: Colour) -> bool:
    return target.proxy.servers_now[colour.servers[0]].usable and target._healthy(colour.servers[0])


def assert_rolled_back(target: Target) -> None:
    if target.ended == "rolled-back":  # else no traffic has moved
        assert serves(target, BLUE)
    assert not in_rotation(target, GREEN)
    assert target.colours[GREEN].holds is None
    assert target.proxy.mode == "none"
    assert target.live(target.survey()) is BLUE
    assert target.env[-1] == (BLUE, {})


def assert_honest(target: Target, error: OrchestratorError | None) -> None:
    """Check journal, error and traffic after a rollback."""
    newest = target.history()[-1]
    if error is None:
        assert newest.state in {"rolled-back", "failed"}
        assert newest.ended
        assert_rolled_back(target)
        return
    assert isinstance(error, RollbackIncompleteError)
    assert newest.state not in {"rolled-back", "failed"}
    assert not newest.ended or newest.state == "held"
    if target.colours[GREEN].holds is None:
        assert not in_rotation(target, GREEN)
    if newest.ended:  # `abort` can do nothing more, so the next switch must be able to
        assert target.proxy.mode == "none"
        assert target.live(target.survey()) is BLUE
    for colour, release in ((BLUE, OLD), (GREEN, NEW)):
        if serves(target, colour) and "unknown which release serves" not in error.message:
            assert f"{release} in {colour}" in error.message


def abort(target: Target) -> OrchestratorError | None:
    try:
        cutover.abort(cast(Any, target), Report())
    except OrchestratorError as error:
        return error
    return None


@hypothesis.settings(max_examples=120, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES),
    first=st.integers(0, 30),
    count=st.sampled_from((1, 2, 3, 22, 45, FOREVER)),
    sick=st.booleans(),
)
def test_with_a_fault_anywhere_no_serving_release_is_removed_and_no_end_is_wrong(
    case: Killed, first: int, count: int, sick: bool
) -> None:
    target = killed(case)
    blue = target.colours[BLUE]
    if sick:
        blue.phase, blue.can_load = "failed", False
        for name in ("blue-1", "blue-1-standby"):
            target.proxy.servers_now[name] = replace(target.proxy.servers_now[name], up=False)
    faults = Faults(target, first, count)
    assert_honest(target, abort(target))
    assert not faults.unsafe
    faults.heal()
    if not target.history()[-1].ended:
        if sick:
            blue.phase, blue.can_load = "ready", True
        assert_honest(target, abort(target))
        assert not faults.unsafe
        assert target.history()[-1].ended
        assert_rolled_back(target)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.strategy} {case.step}")
def test_without_a_fault_every_killed_cutover_is_rolled_back(case: Killed) -> None:
    target = killed(case)
    faults = Faults(target, FOREVER, 1)
    assert abort(target) is None
    assert_honest(target, None)
    assert 0 < faults.operations < 40, "the faults of the test above reach every operation"


def test_a_candidate_that_served_a_hold_serves_on_if_it_cannot_be_removed() -> None:
    target = killed(next(case for case in CASES if (case.strategy, case.step) == ("hold", "soak")))
    green = target.colours[GREEN]
    remove = green.remove

    def busy() -> str:
        raise CommandFailedError("the engine is busy")

    green.remove = busy  # type: ignore[method-assign]
    error = abort(target)
    assert isinstance(error, RollbackIncompleteError)
    assert "the engine is busy; now serving: bbbbbbbbbbbb in green; the cutover is still in progress" in error.message
    assert (serves(target, GREEN), target.proxy.mode) == (True, "none")
    assert "the engine is busy" in target.history()[-1].paused

    green.remove = remove  # type: ignore[method-assign]
    assert abort(target) is None
    assert_honest(target, None)


def test_a_candidate_that_cannot_be_taken_out_of_rotation_is_not_removed() -> None:
    target = Target()
    exit_early(target)
    start = target.start

    def up(slot: Slot) -> None:
        start(slot)
        target.proxy.broken = ProxyError("the socket is gone")

    target.start = up
    with pytest.raises(
        RollbackIncompleteError, match="the socket is gone; now serving: aaaaaaaaaaaa in blue"
    ) as raised:
        switch(target)
    assert "exited" in raised.value.detail
    assert moves(target)[-1] == "app-green up"
    assert (target.history()[-1].ended, target.history()[-1].step) == ("", "warm")

    target.proxy.broken = None
    assert cutover.abort(cast(Any, target), Report()) == OLD
    assert target.ended == "failed"


def test_a_failure_to_write_env_does_not_stop_a_rollback() -> None:
    target, report = Target(), Report()
    exit_early(target)
    refresh = target.refresh_env

    def full_disk(live: Any, **planned: str) -> None:
        if target.colours[GREEN].holds is None and "green removed" in target.calls[4:]:
            raise OSError("no space left")
        refresh(live, **planned)

    target.refresh_env = full_disk  # type: ignore[method-assign]
    with pytest.raises(CandidateExitedError):
        switch(target, report)
    assert "another error during the rollback: no space left" in report.lines
    assert target.ended == "failed"
