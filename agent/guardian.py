"""The guardian: looks at the lock, and outside cutovers at the live release, and acts where no one else does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from agent import cutovers, watch
from agent.alerts import Alerts
from agent.cutovers import Cutover
from agent.dead_man import Decision, Did
from agent.lock import EXPIRY_S
from agent.orders import Do
from agent.protocol import AGENT, Refusal, RefusedError
from agent.rescue import LOAD_S, Ask, Clock, Observer, Rescue, Tenure, View, answered
from agent.servers import Answer
from agent.watch import Watch

LOCK_S = 1.0
LOOK_S = 5.0
RETRY_S = 5.0
BLIND_S = 15.0  # how long it may fail to see or act before it alerts: a proxy that starts or restarts takes seconds
# Someone else has the lock, or took it meanwhile: it is theirs to act.
NOT_OURS = (Refusal.HELD, Refusal.FENCED)
# Neither the lock nor a record can be had: of a full disk, or of a journal that is not as it was written.
UNRECORDABLE = (Refusal.UNWRITABLE, Refusal.DAMAGED)


@dataclass
class Guardian:
    """Dead man's switch and watch. `tick` decides from the clock what is due."""

    ask: Ask
    readyz: Callable[[str], Answer]
    clock: Clock
    alerts: Alerts
    note: Callable[[str], None]
    expiry_s: float = EXPIRY_S
    _watch: Watch = field(default_factory=Watch)
    _looked: float = float("-inf")
    _alone_since: float | None = None
    _failed: str = ""  # what it has alerted that it cannot do
    _blind_since: float | None = None
    _began: float = 0.0
    _retry_at: float = float("-inf")
    _was_well: bool = False  # whether the live release was healthy since this agent began
    _unhealthy: str | None = None  # the release of the alert that clients are not served
    _again: bool = False

    def __post_init__(self) -> None:
        self._began = self.clock.now()
        self._observer = Observer(self.ask, self.readyz)
        self._rescue = Rescue(self.ask, self._observer, self.clock, self.note)

    def run(self, stop: threading.Event) -> None:
        """Tick until stopped."""
        while not stop.wait(LOCK_S):
            self.tick()

    def tick(self) -> None:
        """Look and act once; what fails is tried again after RETRY_S."""
        if self.clock.now() < self._retry_at:
            return
        try:
            if self._tick():
                self._failed, self._blind_since = "", None
        except RefusedError as refused:
            if refused.refusal in NOT_OURS:
                self._again = False
            else:
                self._cannot(refused.message, unrecordable=refused.refusal in UNRECORDABLE)
        except Exception as error:  # noqa: BLE001 - a guardian that ends at a surprise guards nothing
            self._cannot(repr(error))

    def _cannot(self, why: str, *, unrecordable: bool = False) -> None:
        now = self.clock.now()
        self._retry_at = now + RETRY_S
        self._blind_since = now if self._blind_since is None else self._blind_since
        if now - self._blind_since < BLIND_S:
            return
        opened = unrecordable and self._opened_gate()
        if why != self._failed or opened:
            self._failed = why
            outcome = "; it opened the gate, which held requests, without a record" if opened else ""
            self.alerts.send(f"the agent cannot see or act: {why}{outcome}")

    def _opened_gate(self) -> bool:
        """Open the gate without the lock; return whether it was shut. Waiting requests matter more than a record."""
        answer = self.ask({"do": "gate open"})
        return bool(answer["ok"]) and answer["held"] != "none"

    def _tick(self) -> bool:
        """Return whether the target was looked at."""
        lock = answered(self.ask({"do": "lock show"}))
        owner = lock["owner"]
        if owner and owner["what"] == AGENT:  # this agent before it was restarted
            self._act(int(lock["epoch"]))
        elif owner and lock["expired"]:
            self._act()
        elif owner:
            self._alone_since, self._watch, self._again = None, Watch(), False
            return False
        elif self._again:
            self._act()
        elif self.clock.now() - self._looked >= LOOK_S:
            self._looked = self.clock.now()
            self._look(self._observer.look())
        else:
            return False
        return True

    def _act(self, takeover: int | None = None) -> None:
        """Run the dead man's switch; an expired owner whose cutover has ended only loses its lock."""
        self._again = True
        done = self._rescue.run(takeover)
        self._again, self._alone_since = False, None
        if done:
            self._report(*done)

    def _report(self, cutover: Cutover | None, decision: Decision) -> None:
        about = (
            f"{cutover.kind} to {cutover.release[:12]} was left alone at {cutover.step or cutover.state}: "
            if cutover
            else ""
        )
        good = decision.did is Did.SOAK
        self.alerts.send(
            f"{about}{decision.did}: {decision.reason}",
            severity="warning" if good else "critical",
            release=cutover.release if cutover else "",
            cutover=cutover.id if cutover else "",
        )

    def _look(self, view: View) -> None:
        """Look at the target while the lock is free."""
        current = view.current
        orphaned = current is not None and not current.paused and not current.settled
        if orphaned or view.hold != "none":
            # Its orchestrator may be about to take the lock: `resume`, or a step of an operator.
            self._alone_since = self.clock.now() if self._alone_since is None else self._alone_since
            if self.clock.now() - self._alone_since >= self.expiry_s:
                self._act()
            return
        self._alone_since = None
        # A new stack has blue in rotation before its first release.
        if any(cutover.served for cutover in view.past):
            self._look_at_live(view)

    def _look_at_live(self, view: View) -> None:
        asked = self._observer.asked(view.proxied, watch.in_rotation(view.proxied))
        well = watch.healthy(asked)
        self._was_well = self._was_well or well
        if well and self._unhealthy is not None:
            self.alerts.healthy(self._unhealthy)
            self._unhealthy = None
        # After a reboot, or `make down` and `up`, the models of all releases are still loading: none is sick yet.
        if not self._was_well and self.clock.now() - self._began < LOAD_S:
            return
        self._watch = self._watch.after(healthy=well)
        if not self._watch.sick:
            return
        colour = watch.live(view.proxied)
        move = self._move(view)
        if move:
            self._watch = Watch()
            self.alerts.send(
                f"{colour} was sick, and its standby has the traffic", release=move.previous, cutover=move.id
            )
        elif self._watch.alert_due:
            self._unhealthy = _release(view, colour)
            self.alerts.unhealthy(watch.trouble(view.proxied), self._unhealthy)

    def _move(self, view: View) -> Cutover | None:
        """Give the traffic to the standby if there is one; return the cutover that is taken back by it."""
        if not self._to_standby(view):
            return None
        with Tenure(self.ask) as tenure:
            view = self._observer.look()
            found = self._to_standby(view)
            if not found:
                return None
            served, decision = found
            tenure.order((*view.names("blue"), *view.names("green")), Do.KEEP)
            tenure.change(decision.commands)
            tenure.journal(served, decision)
            return served

    def _to_standby(self, view: View) -> tuple[Cutover, Decision] | None:
        if view.current:  # paused: an operator decides
            return None
        served = next((cutover for cutover in reversed(view.past) if cutover.served), None)
        standbys = view.names(cutovers.other(watch.live(view.proxied)))
        asked = self._observer.asked(view.proxied, standbys)
        moved = cutovers.moved_by_watch(view.records)
        decision = watch.to_standby(served, asked, standbys, moved=moved)
        return (served, decision) if served and decision else None


def _release(view: View, colour: str) -> str:
    return next((cutover.release for cutover in reversed(view.past) if cutover.served and cutover.colour == colour), "")
