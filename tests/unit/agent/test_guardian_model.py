"""Epoch, lock, undo, dead man's switch and watch together.

Whatever orchestrators and agent do in whatever order, paused, killed and late: traffic is never on a release that is
unproven or removed, and after a silence the gate is open and a release serves.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.lock import EXPIRY_S
from agent.rescue import LOAD_S
from tests.unit.agent.orchestrator import Orchestrator
from tests.unit.agent.world import World

COMMANDS = st.sampled_from(["switch", "switch", "resume", "abort"])
MOST_STEPS = 200  # of one command
STEPS = st.integers(1, 60)
SICK_STEPS = st.sampled_from(["", "", "", "verify", "canary", "switch", "soak", "load"])


class Target(RuleBasedStateMachine):
    """Several orchestrators on one target, and its agent."""

    small = False
    strategy = "overlap"

    def __init__(self) -> None:
        super().__init__()
        self.world = World(small=self.small)
        self.running: list[Orchestrator] = []

    def teardown(self) -> None:
        self.everyone_is_gone()
        self.traffic_is_on_proven_releases()
        self.world.close()

    @initialize(steps=STEPS, sick=SICK_STEPS)
    def one_stands_still(self, steps: int, sick: str) -> None:
        """Every example begins inside a cutover."""
        one = Orchestrator(self.world, "switch", self.strategy, lambda step: step == sick)
        if self._advance(one, steps):
            self.running.append(one)

    @precondition(lambda self: len(self.running) < 3)
    @rule(command=COMMANDS, sick=SICK_STEPS)
    def begin(self, command: str, sick: str) -> None:
        one = Orchestrator(self.world, command, self.strategy, lambda step: step == sick)
        if one.advance():
            self.running.append(one)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), steps=st.integers(1, 30))
    def advance(self, data: st.DataObject, steps: int) -> None:
        one = data.draw(st.sampled_from(self.running))
        if not self._advance(one, steps):
            self.running.remove(one)

    @rule(steps=STEPS, further=STEPS, sick=SICK_STEPS, command=COMMANDS, guarded=st.booleans())
    def overtake(self, steps: int, further: int, sick: str, command: str, guarded: bool) -> None:
        """An owner stands still, wakes up while a successor is at work, and that one finishes."""
        late = Orchestrator(self.world, "switch", self.strategy, lambda step: step == sick)
        alive = self._advance(late, steps)
        self.world.guard(EXPIRY_S + 2) if guarded else self.world.sleep(EXPIRY_S + 2)
        successor = Orchestrator(self.world, command, self.strategy, lambda _step: False)
        busy = self._advance(successor, further)
        if alive:
            self._advance(late, MOST_STEPS)
        if busy:
            self._advance(successor, MOST_STEPS)

    def _advance(self, one: Orchestrator, steps: int) -> bool:
        for _ in range(steps):
            if not one.advance():
                return False
            self.traffic_is_on_proven_releases()
        return True

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.running)).beat()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.running.remove(data.draw(st.sampled_from(self.running)))

    @rule(seconds=st.floats(0.5, 2 * EXPIRY_S))
    def wait(self, seconds: float) -> None:
        """Let time pass, as when the machine sleeps: the agent looks only once."""
        self.world.sleep(seconds)
        self.world.guardian.tick()

    @rule(seconds=st.sampled_from([1, 10, EXPIRY_S + 2]))
    def guard(self, seconds: float) -> None:
        self.world.guard(seconds)

    @rule()
    def restart_agent(self) -> None:
        self.world.restart_agent()

    @rule()
    def everyone_is_gone(self) -> None:
        """Nobody acts for long enough; the paused may wake up later."""
        self.world.guard(2 * EXPIRY_S + 10)
        self.world.guard(0 if self.world.proxy.hold == "none" else 2 * LOAD_S)
        assert self.world.proxy.hold == "none", "the gate is shut for ever"
        assert any(self.world.proxy.up(f"{colour}-1") for colour in self.world.proxy.serving()), "no release serves"
        assert len(self.world.proxy.serving()) == 1, "a canary is left alone"

    @invariant()
    def traffic_is_on_proven_releases(self) -> None:
        for colour in self.world.proxy.serving():
            container = self.world.containers[colour]
            assert container, f"{colour} is in rotation and removed"
            assert container.proven, f"{colour} is in rotation and unproven"


class SmallTarget(Target):
    """A GPU for one model: cutovers hold requests."""

    small = True
    strategy = "hold"


TestOverlap, TestHold = Target.TestCase, SmallTarget.TestCase
# The same examples at each run: a failure belongs to a change. Search for new ones with `derandomize=False`.
TestOverlap.settings = TestHold.settings = settings(
    max_examples=60, stateful_step_count=15, deadline=None, derandomize=True
)
