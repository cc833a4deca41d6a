"""A model of an orchestrator: the steps, intents and undo of a cutover, one request at a time.

Each `yield` is a point where the process may be paused, die or be overtaken. It plans by the orchestrator's own tables
and reads the journal by the orchestrator's own reader, so that what the agent journals must make sense there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from agent.protocol import Owner, RefusedError
from agent.rescue import answered
from build.cutover.state_machine import FINAL_STATE, ROLLBACK_ACTION, FailureAction, next_step, step_named, table
from build.model.release import Release
from build.model.states import SERVING, State, Strategy
from build.state import history
from build.state.history import Cutover
from tests.unit.agent.world import Container, World

Steps = Iterator[None]
_NUMBERS = itertools.count(1)


class StepFailedError(Exception):
    """A step of the cutover failed."""


class Orchestrator:
    """One command: `switch`, `resume` or `abort`. `sick(step)` says whether a step's checks find the candidate sick."""

    def __init__(self, world: World, command: str, strategy: str, sick: Callable[[str], bool]) -> None:
        self.world, self.command, self.strategy, self.sick = world, command, strategy, sick
        self.epoch = 0
        self.cutover: Cutover | None = None
        self.run = self._run()

    def advance(self) -> bool:
        """Go on to the next point; return whether there is one."""
        try:
            next(self.run)
        except (StopIteration, RefusedError, StepFailedError):
            self.world.ask("lock release", epoch=self.epoch)
            return False
        return True

    def beat(self) -> None:
        self.world.ask("lock beat", epoch=self.epoch)

    # Requests to the agent, fenced.

    def do(self, operation: str, **fields: Any) -> dict[str, Any]:
        return answered(self.world.ask(operation, epoch=self.epoch, **fields))

    def journal(self, event: str, **fields: Any) -> None:
        self.do("journal append", record={"event": event, "cutover": self.current.id, **fields})

    def change(self, *commands: str) -> None:
        self.do("proxy change", commands=[command.replace("@", "set server app/") for command in commands])

    @property
    def current(self) -> Cutover:
        assert self.cutover
        return self.cutover

    @property
    def new(self) -> str:
        return self.current.colour

    @property
    def old(self) -> str:
        return "green" if self.new == "blue" else "blue"

    # The command.

    def _run(self) -> Steps:
        owner = Owner("me", "here", "1", "2", self.command).to_json()
        self.epoch = answered(self.world.ask("lock acquire", owner=owner))["epoch"]
        yield
        self.cutover = history.in_progress(history.read(self.world.records()))
        if self.command == "resume" and self.cutover:
            yield from self._execute(self.cutover.state)
        elif self.command == "abort" and self.cutover:
            yield from self._abort()
        elif self.command == "switch":
            yield from self._switch()
        self.do("lock release")

    def _switch(self) -> Steps:
        if self.cutover and (self.cutover.state in SERVING or self.cutover.step == "switch"):
            yield from self._execute(self.cutover.state)
        elif self.cutover:
            yield from self._abort()
        serving = self.world.proxy.serving()
        if len(serving) != 1:
            raise StepFailedError  # the live release is unknown
        live = self.world.containers[serving[0]]
        number = next(_NUMBERS)
        release = Release(f"release-{number}", "image")
        old = Release(live.release, "image") if live else None
        self.cutover = Cutover(
            str(number), "switch", release, "green" if serving == ["blue"] else "blue", old, "", Strategy(self.strategy)
        )
        self.journal(
            "begin", kind="switch", strategy=self.strategy, colour=self.new, rollout={"canary": [5], "soak_s": 60},
            release=asdict(release), previous=asdict(old) if old else None,
        )  # fmt: skip
        yield
        yield from self._execute(State.PULLED)

    @property
    def table(self) -> Any:
        return table(self.current.strategy, rollback=False, canary=True, soak=True)

    def _execute(self, state: State) -> Steps:
        while step := next_step(state, self.table):
            self.journal("intent", step=step.name)
            yield
            try:
                if self.sick(step.name):
                    raise StepFailedError
                yield from getattr(self, f"_{self.current.strategy}_{step.name}", self._nothing)()
            except StepFailedError:
                yield from self._undo(step.on_failure, step.name)
                raise
            self.journal("done", step=step.name, state=step.ends, facts={})
            yield
            state = step.ends
        self.journal("end", state=state)

    def _abort(self) -> Steps:
        step = step_named(self.current.step, self.table)
        action = step.on_failure if step else FailureAction.STOP
        if action is FailureAction.KEEP:
            action = ROLLBACK_ACTION[self.current.strategy]
            old = self._of(self.old)
            if old is None or old.phase == "stopped":
                raise StepFailedError  # too late to abort
        yield from self._undo(action, self.current.step)

    # Undo: a candidate is removed only after the old colour provably serves.

    def _undo(self, action: FailureAction, step: str) -> Steps:
        if action is FailureAction.RETURN:
            self._require(self._of(self.old))
            self.change(f"@{self.old}-1 state ready", f"@{self.new}-1 state maint")
            yield
        if action is FailureAction.DISCARD:
            self.change(f"@{self.new}-1 state maint")
            yield
        if action is FailureAction.RELOAD:
            yield from self._reload()
        if action not in {FailureAction.KEEP, FailureAction.STOP}:
            yield from self._remove(self.new)
        self.journal("failed", step=step, error="sick", facts={})
        yield
        self.journal("end", state=FINAL_STATE[action])

    def _reload(self) -> Steps:
        self.change("hold all", f"@{self.new}-1 state maint")
        yield
        yield from self._control(self.new, "unload")
        yield from self._control(self.old, "load")
        self._require(self._of(self.old))
        self.change(f"@{self.old}-1 state ready", "hold none")
        yield

    # Docker, by IDs, after a confirmation. Both are one act here, since Docker knows no epoch: an act that stands still
    # after its confirmation until a successor needs the same container is not fenced
    # (docs/decisions/0003-lock-and-interruption.md, consequences).

    def _remove(self, colour: str) -> Steps:
        container = self.world.containers[colour]
        yield
        self.do("confirm")
        if container and self.world.containers[colour] is container:
            self.world.containers[colour] = None
        yield

    def _launch(self, phase: str) -> Steps:
        self.change(f"@{self.new}-1 state maint")
        yield
        yield from self._remove(self.new)
        self.do("flags set", slots={self.new: {"parked": phase == "unloaded", "device": ""}})
        yield
        self.do("confirm")
        if self.world.containers[self.new]:
            raise StepFailedError  # the name is taken
        container = self.world.containers[self.new] = Container(self.current.release.sha, "unloaded")
        container.wanted = "load" if phase == "ready" else ""
        yield

    def _control(self, colour: str, command: str) -> Steps:
        """Send a command, which may arrive late, and wait for the service to obey."""
        container, epoch = self.world.containers[colour], self.epoch
        yield
        if container and container.control(command, epoch):
            self.world.sleep(0)
        yield

    def _of(self, colour: str) -> Container | None:
        return self.world.containers[colour]

    def _own(self) -> Container:
        container = self._require(self._of(self.new))
        if container.release != self.current.release.sha:
            raise StepFailedError
        return container

    @staticmethod
    def _require(container: Container | None) -> Container:
        if container is None or not container.ready:
            raise StepFailedError
        return container

    # Steps.

    def _nothing(self) -> Steps:
        yield

    def _overlap_start(self) -> Steps:
        yield from self._launch("ready")

    def _overlap_warm(self) -> Steps:
        self.world.sleep(0)
        self._own()
        yield

    def _overlap_verify(self) -> Steps:
        self._own().proven = True
        yield

    _hold_verify = _overlap_verify

    def _overlap_admit(self) -> Steps:
        self._own()
        self.change(f"@{self.new}-1 state drain")
        yield

    _hold_admit = _overlap_admit

    def _overlap_canary(self) -> Steps:
        self._alive()
        self.change(f"@{self.old}-1 weight 95", f"@{self.new}-1 weight 5", f"@{self.new}-1 state ready")
        yield

    def _alive(self) -> None:
        self._own()
        if self.world.proxy.admin[f"{self.new}-1"] == "maint":
            raise StepFailedError

    def _overlap_switch(self) -> Steps:
        self._alive()
        yield
        self.change(f"@{self.new}-1 weight 100", f"@{self.new}-1 state ready", f"@{self.old}-1 state drain")
        yield

    def _overlap_soak(self) -> Steps:
        self._alive()  # a server in maintenance is down: the undo of another owner was interrupted
        yield

    _hold_soak = _overlap_soak

    def _overlap_retire(self) -> Steps:
        self.change(f"@{self.old}-1 state maint", f"@{self.old}-1 weight 100")
        yield

    def _hold_park(self) -> Steps:
        yield from self._launch("unloaded")

    def _hold_hold(self) -> Steps:
        self.change("hold all")
        yield
        self.change(f"@{self.old}-1 state maint")
        yield
        self.do("flags set", slots={self.old: {"parked": True}})
        yield from self._control(self.old, "unload")

    def _hold_load(self) -> Steps:
        yield from self._control(self.new, "load")
        self._own()

    def _hold_switch(self) -> Steps:
        self._alive()
        yield
        self.change(f"@{self.new}-1 state ready", "hold none")
        yield

    def _hold_retire(self) -> Steps:
        old = self._of(self.old)
        self.do("confirm")
        if old:
            old.phase = "stopped"
        yield
