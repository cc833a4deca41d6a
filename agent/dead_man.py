"""The dead man's switch: what the agent does for a cutover whose orchestrator has fallen silent. Pure.

Traffic goes to the side that is known to be good, and the gate opens. What is left of the cutover waits for `resume` or
`abort`, which find the state that the agent journals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent import servers as proxy
from agent.cutovers import HOLD, ROLLBACK, Cutover, Phase
from agent.servers import Servers

OPEN_GATE = ("hold none",)


class Did(StrEnum):
    """What the agent did; `did` of its records."""

    NOTHING = "nothing"  # the traffic was where it belongs
    OPEN = "open"  # opened the gate; no colour was known to be good
    RETURN = "return"  # gave the old colour all the traffic
    RELOAD = "reload"  # made the old colour load its model again and serve what waited
    SERVE = "serve"  # gave the verified candidate all the traffic, since the old colour did not come back
    SOAK = "soak"  # counted the soak of a healthy candidate as passed, unwatched
    STANDBY = "standby"  # gave the standby all the traffic


@dataclass(frozen=True)
class Decision:
    """What to do, and what to journal when it is done.

    Attributes:
        commands: for the proxy. A RELOAD has none: see agent.rescue.
        step, state: where `resume` continues; the state is the one that the step leads to.
        reason: for the alert.
    """

    did: Did
    commands: tuple[str, ...]
    step: str
    state: str
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)


def decide(cutover: Cutover | None, servers: Servers, hold: str, *, old_replicas: int = 1) -> Decision | None:
    """Return what to do; None if there is nothing to do.

    Args:
        cutover: the one in progress; None if there is none.
        servers: with the answers of both colours' services.
        hold: the gate's mode.
        old_replicas: number of the old colour's containers.
    """
    if cutover is None:
        if hold == "none":
            return None
        return Decision(Did.OPEN, OPEN_GATE, "", "", "the gate held requests although no cutover is in progress")
    side = _Sides(cutover, servers, hold, old_replicas)
    by_phase = {
        Phase.BEFORE: side.before,
        Phase.SPLIT: side.split,
        Phase.HELD: side.held,
        Phase.SOAK: side.soak,
        Phase.SERVES: side.serves,
    }
    return by_phase[cutover.phase]()


class _Sides:
    """The candidate's and the old colour's servers of one cutover."""

    def __init__(self, cutover: Cutover, servers: Servers, hold: str, old_replicas: int) -> None:
        self._cutover, self._servers, self._hold = cutover, servers, hold
        self._candidates = _known(proxy.names(cutover.colour, cutover.replicas), servers)
        self._olds = _known(proxy.names(cutover.old, old_replicas), servers)

    def _serving(self) -> bool:
        return bool(self._candidates) and all(self._servers[name].healthy for name in self._candidates)

    def _old_usable(self) -> bool:
        return bool(self._olds) and all(self._servers[name].usable for name in self._olds)

    def stay(self, reason: str, *commands: str) -> Decision:
        """Move nothing, unless no colour is in rotation: an undo may have been under way."""
        if not any(self._servers[name].admin == "ready" for name in (*self._candidates, *self._olds)):
            proven = self._candidates if self._cutover.proven and self._candidates_ready() else ()
            commands = (*commands, *serve_commands(self._olds if self._old_usable() else proven, gate=()))
        gate = () if self._hold == "none" else OPEN_GATE
        return Decision(Did.NOTHING, (*commands, *gate), self._cutover.step, self._cutover.state, reason)

    def before(self) -> Decision:
        out = [name for name in self._candidates if self._servers[name].admin == "ready"]
        commands = proxy.state(out, "maint") if self._old_usable() else ()
        return self.stay("no traffic had moved", *commands)

    def split(self) -> Decision:
        if self._cutover.kind == ROLLBACK or not self._cutover.old:
            return self.stay("a rollback is not rolled back: each colour keeps the traffic that it has")
        if not self._old_usable():
            return self.stay(f"{self._cutover.old} is not healthy, so both colours keep the traffic that they have")
        return self._returned(Did.RETURN, "drain", "the candidate's share of the traffic was unwatched")

    def held(self) -> Decision:
        gone = not any(self._servers[name].answer.phase for name in self._olds)
        if self._serving() and self._hold == "none":
            return self.serve("the candidate has the traffic, and the old colour has no model")
        if gone and self._cutover.proven and self._candidates_ready():
            return self.serve("the old colour does not answer, and the candidate has passed the gate")
        return self._reload("requests waited at the gate")

    def _candidates_ready(self) -> bool:
        return bool(self._candidates) and all(self._servers[name].ready for name in self._candidates)

    def soak(self) -> Decision:
        if self._serving() and self._hold == "none":
            facts = {"soak": {"unwatched": True}}
            return Decision(Did.SOAK, (), "soak", "soaking", "the candidate is healthy; its soak was unwatched", facts)
        if self._cutover.strategy == HOLD:
            return self._reload("the candidate is not healthy")
        if not self._old_usable():
            return self.stay("neither the candidate nor the old colour is healthy")
        return self._returned(Did.STANDBY, "maint", "the candidate is not healthy")

    def serves(self) -> Decision:
        if all(self._servers[name].admin == "ready" for name in self._candidates):
            return self.stay("the candidate serves; only the clean-up is missing")
        # An undo was under way: `retire` must not be next.
        if self._cutover.strategy == HOLD:
            return self._reload("the candidate was being taken out of rotation")
        if not self._old_usable():
            return self.stay("the candidate was being taken out of rotation, and the old colour is not healthy")
        return self._returned(Did.RETURN, "maint", "the candidate was being taken out of rotation")

    def serve(self, reason: str) -> Decision:
        return Decision(Did.SERVE, serve_commands(self._candidates), "switch", "switched", reason)

    def _reload(self, reason: str) -> Decision:
        return Decision(Did.RELOAD, (), "park", "parked", reason)

    def _returned(self, did: Did, admin: str, reason: str) -> Decision:
        """Give the old colour everything. The candidate stays in the state that `resume` expects before the canary."""
        standbys = _known([f"{name}-standby" for name in self._olds], self._servers)
        commands = (
            *serve_commands(self._olds, gate=()),
            *proxy.state(self._candidates, admin),
            *proxy.whole_weight(self._candidates),
            *proxy.state(standbys, "maint"),
        )
        gate = () if self._hold == "none" else OPEN_GATE
        return Decision(did, (*commands, *gate), "admit", "admitted", reason)


def serve_commands(servers: tuple[str, ...], gate: tuple[str, ...] = OPEN_GATE) -> tuple[str, ...]:
    """Return the commands that give servers their full share of the traffic."""
    return (*proxy.whole_weight(servers), *proxy.state(servers, "ready"), *gate)


def _known(names: tuple[str, ...] | list[str], servers: Servers) -> tuple[str, ...]:
    return tuple(name for name in names if name in servers)
