"""One cutover under way: what moves where, on which target. Every step is a function of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from build.decisions import drain
from build.decisions.colours import Colour, Stack
from build.decisions.drain import Drained
from build.decisions.history import Cutover, Event, Release
from build.decisions.machine import SOAK, Strategy, Table, step_named, table
from build.decisions.rollout import AT_ONCE, Rollout
from build.decisions.vram import Plan
from build.drivers.colour import ColourContainer
from build.errors import ProxyError
from build.procedures.report import Report
from build.procedures.target import Clock, Target
from build.settings import Settings

PROXY_NOTICES_S = 15
STOP_GRACE_S = 150

ROLLBACK = "rollback"  # the kind of a cutover that goes back

# What a step leaves in the journal beside that it was done.
Facts = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """`idle` is the colour that the release goes to; `live` the one that serves until then, None at first."""

    target: Target
    report: Report
    id: str
    kind: str
    release: Release
    idle: Colour
    live: Colour | None
    plan: Plan
    rollout: Rollout = AT_ONCE

    @classmethod
    def left(cls, target: Target, report: Report, cutover: Cutover) -> Run:
        """The one that the journal tells of."""
        idle = Colour(cutover.colour)
        live = idle.other if cutover.previous else None
        plan = Plan(**{**cutover.plan, "strategy": cutover.strategy})
        rollout = Rollout.told(cutover.rollout)
        return cls(target, report, cutover.id, cutover.kind, cutover.release, idle, live, plan, rollout)

    @property
    def candidate(self) -> ColourContainer:
        return self.target.colours[self.idle]

    @property
    def old(self) -> ColourContainer | None:
        return self.target.colours[self.live] if self.live else None

    @property
    def strategy(self) -> Strategy:
        return self.plan.strategy

    @property
    def aftermath(self) -> str:
        """What a candidate that is no good has cost the clients, for its error."""
        if self.strategy is Strategy.HOLD:
            return "requests waited meanwhile, if the hold had begun, and the old release serves them"
        return "live traffic was not touched"

    @property
    def table(self) -> Table:
        # Without an old colour there is nothing to be compared with, nor to go back to.
        canary, soak = (bool(asked and self.live) for asked in (self.rollout.canary, self.rollout.soak_s))
        return table(self.strategy, back=self.kind == ROLLBACK, canary=canary, soak=soak)

    @property
    def soaks(self) -> bool:
        return step_named(SOAK, self.table) is not None

    @property
    def settings(self) -> Settings:
        return self.target.settings

    @property
    def clock(self) -> Clock:
        return self.target.clock

    def begin(self, stack: Stack) -> None:
        """Journals what this cutover is about to do."""
        previous = stack[self.live].release if self.live else None
        self.journal(
            Event.BEGIN,
            kind=self.kind,
            strategy=self.strategy,
            plan=asdict(self.plan),
            rollout=asdict(self.rollout),
            release=asdict(self.release),
            colour=self.idle,
            previous=asdict(previous) if previous else None,
        )

    @property
    def told(self) -> Cutover:
        """This cutover as the journal tells it; hooks and alerts say no more than that."""
        return next(each for each in reversed(self.target.history()) if each.id == self.id)

    def journal(self, event: Event, **facts: Any) -> None:
        self.target.journal.append(cutover=self.id, event=event, **facts)

    def until_seen_healthy(self, colour: Colour) -> None:
        """Waits for a health check by the proxy that was demanded: it goes another way than the gate does.

        Raises:
            ProxyError: none has passed within PROXY_NOTICES_S.
        """
        began = self.clock.now()
        for now in self.clock.polls(0.05):
            seen = self.target.proxy.servers()[colour.server]
            if seen.up:
                return
            if now - began > PROXY_NOTICES_S:
                raise ProxyError(
                    f"the proxy does not see {colour.server} healthy (last check: {seen.check or 'none'})",
                    remedy="it answers inside its container only: see what address it listens on",
                )

    def until_empty(self, colour: Colour, budget_s: float, every_s: float = 0.5) -> int:
        """Waits for a colour that is out of rotation to finish; what is still on it when the budget is spent."""
        began = self.clock.now()
        for now in self.clock.polls(every_s):
            seen = self.target.proxy.servers()
            both = seen[colour.server], seen[colour.standby]
            load = self.target.colours[colour].load(
                sum(each.sessions for each in both), sum(each.queued for each in both)
            )
            if drain.judge(load, now - began, budget_s) is not Drained.BUSY:
                return load.work
        raise AssertionError("a clock never ends")


Act = Callable[[Run], Facts | None]
