"""One cutover in progress: release, colours, target, plan. Every step is a function of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from build.cutover.patient_proxy import PatientProxy
from build.cutover.prefetch import StandbyPrefetch
from build.cutover.rules import drain
from build.cutover.rules.drain import DrainProgress
from build.cutover.rules.gpu import Plan
from build.cutover.state_machine import Table, step_named, table
from build.errors import ProxyError
from build.model.colours import Colour, Stack
from build.model.release import Release
from build.model.rollout import AT_ONCE, Rollout
from build.model.states import SOAK, Strategy
from build.progress import Progress
from build.proxy.types import Admin, Proxy, Server
from build.settings import Settings
from build.state.history import Cutover, Event
from build.target.colour_containers import ColourContainers
from build.target.types import Clock, Target

PROXY_NOTICES_S = 15
STOP_GRACE_S = 150
HURRIED_GRACE_S = 5  # its connections are closed by then

ROLLBACK = "rollback"  # kind of a cutover back to an earlier release

# Facts that a step adds to its journal record.
JournalFacts = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A cutover in progress.

    Attributes:
        idle: the colour that gets the release.
        live: the colour that serves until the switch; None before the first release.
        ahead: prefetched answers of a standby release, for a rollback with strategy auto.
        colours: the containers that this cutover may change, by their IDs: those that existed when it began under the
            lock, and those that it created since. If it loses the lock, a successor's containers have other IDs.
    """

    target: Target
    progress: Progress
    id: str
    kind: str
    release: Release
    idle: Colour
    live: Colour | None
    plan: Plan
    rollout: Rollout = AT_ONCE
    ahead: StandbyPrefetch | None = None
    colours: dict[Colour, ColourContainers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for colour in Colour:
            self.own(colour)

    def own(self, colour: Colour) -> None:
        """Own the containers that exist in a colour now; raise LockLostError if this process lost the lock."""
        self.colours[colour] = self.target.colours[colour].owned(self.target.lock.confirm)
        self.target.lock.confirm()  # after the look: a successor's containers do not become ours

    @classmethod
    def from_cutover(cls, target: Target, progress: Progress, cutover: Cutover) -> Run:
        """Rebuild a run from its journal records."""
        idle = Colour(cutover.colour)
        live = idle.other if cutover.previous else None
        plan = Plan.from_record({**cutover.plan, "strategy": cutover.strategy})
        rollout = Rollout.from_record(cutover.rollout)
        return cls(target, progress, cutover.id, cutover.kind, cutover.release, idle, live, plan, rollout)

    @property
    def candidate(self) -> ColourContainers:
        return self.colours[self.idle]

    @property
    def old(self) -> ColourContainers | None:
        return self.colours[self.live] if self.live else None

    @property
    def strategy(self) -> Strategy:
        return self.plan.strategy

    @property
    def client_impact(self) -> str:
        """Describe the effect of a bad candidate on clients, for its error."""
        if self.strategy is Strategy.HOLD:
            return "requests that the hold delayed go to the old release"
        return "live traffic was not affected"

    @property
    def table(self) -> Table:
        # Without an old colour there is nothing to compare with and nothing to roll back to.
        canary, soak = (bool(requested and self.live) for requested in (self.rollout.canary, self.rollout.soak_s))
        return table(self.strategy, rollback=self.kind == ROLLBACK, canary=canary, soak=soak)

    @property
    def soaks(self) -> bool:
        return step_named(SOAK, self.table) is not None

    @property
    def settings(self) -> Settings:
        return self.target.settings

    @property
    def clock(self) -> Clock:
        return self.target.clock

    @property
    def proxy(self) -> Proxy:
        """The target's proxy; short failures are retried."""
        return PatientProxy(self.target.proxy, self.clock)

    @property
    def drain_budgets(self) -> dict[str, float]:
        """Seconds that each request class may take to finish; 0 after a second interrupt."""
        budgets = self.settings.drain_budgets
        return dict.fromkeys(budgets, 0.0) if self.clock.hurried else budgets

    @property
    def stop_grace_s(self) -> int:
        """Seconds that a stopped container may take to exit."""
        return HURRIED_GRACE_S if self.clock.hurried else STOP_GRACE_S

    def begin(self, stack: Stack) -> None:
        """Journal the begin of this cutover."""
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
    def journaled(self) -> Cutover:
        """This cutover as journaled; hooks and alerts report nothing else."""
        return next(cutover for cutover in reversed(self.target.history()) if cutover.id == self.id)

    def journal(self, event: Event, **facts: Any) -> None:
        self.target.journal.append(cutover=self.id, event=event, **facts)

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        """Store what runs, unless this process lost the lock: a successor may use the same clone."""
        self.target.lock.confirm()
        self.target.refresh_env(live, **planned)

    def server_names(self, colour: Colour) -> tuple[str, ...]:
        """Return the proxy's servers of the colour's containers; the first server if there are none."""
        return tuple(replica.slot.server for replica in self.colours[colour].replicas) or colour.servers[:1]

    def rotate(self, *changes: tuple[Iterable[str], Admin | int]) -> None:
        """Set states or weights of servers in this order, as one batch."""
        self.proxy.set_admins(*((server, to) for servers, to in changes for server in servers))

    def servers(self, colour: Colour) -> list[Server]:
        """Return the proxy's view of a colour's servers."""
        servers = self.proxy.servers()
        return [servers[name] for name in self.server_names(colour)]

    def standbys(self, colour: Colour) -> tuple[str, ...]:
        """Return the same servers as backup entries of the proxy."""
        return tuple(replica.slot.standby for replica in self.colours[colour].replicas) or colour.standbys[:1]

    def demand_check(self, colour: Colour) -> None:
        """Mark a colour down until its health checks pass; it gets no new requests meanwhile."""
        self.proxy.demand_check(*self.server_names(colour))

    def await_health_check(self, colour: Colour) -> None:
        """Wait until the demanded health checks pass; unlike the gate they go through the proxy's network.

        Raises:
            ProxyError: a check has not passed within PROXY_NOTICES_S.
        """
        began, used = self.clock.now(), self.server_names(colour)
        for now in self.clock.polls(0.05):
            servers = self.proxy.servers()
            down = [name for name in used if not servers[name].up]
            if not down:
                return
            if now - began > PROXY_NOTICES_S:
                check = servers[down[0]].check or "none"
                raise ProxyError(
                    f"the proxy's health check of {down[0]} fails (last result: {check})",
                    remedy="the service answers inside its container only: check the address that it listens on",
                )

    def await_empty(self, colour: Colour, budget_s: float, every_s: float = 0.5, *, alive: bool = False) -> int:
        """Wait for a drained colour to become empty; return the number of remaining requests after `budget_s`.

        Args:
            alive: also stop waiting when a health check fails.
        """
        began, used = self.clock.now(), self.server_names(colour)
        for now in self.clock.polls(every_s):
            servers = self.proxy.servers()
            own = [servers[name] for name in (*colour.servers, *colour.standbys)]
            load = self.colours[colour].load(
                sum(server.sessions for server in own), sum(server.queued for server in own)
            )
            dead = alive and not all(servers[name].healthy for name in used)
            allowed_s = 0.0 if self.clock.hurried else budget_s
            if dead or drain.judge(load, now - began, allowed_s) is not DrainProgress.BUSY:
                return load.work
        raise AssertionError("a clock never ends")


Act = Callable[[Run], JournalFacts | None]
