"""Acts of the agent as the owner of the lock: the dead man's switch, and the move to the standby.

The agent uses its own protocol: like an orchestrator it acquires the lock, and an epoch that is over stops it. It acts
before it journals, so an agent that dies in between begins anew; every act may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from agent import cutovers, dead_man, readiness, servers
from agent.cutovers import Cutover
from agent.dead_man import Decision, Did
from agent.orders import Do
from agent.protocol import AGENT, Owner, Refusal, RefusedError
from agent.servers import Answer, Servers

POLL_S = 0.5
SEEN_S = 5.0  # for a service to see an order; it polls every second
UNLOAD_S = 30.0
LOAD_S = 300.0  # for a model to load; the gate answers 503 long before
ME = Owner(user="agent", host="target", pid="", started="", what=AGENT)

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Clock:
    """Time in seconds, and how to wait."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class View:
    """The target at one moment; `proxied` are the servers without their services' answers."""

    records: list[dict[str, Any]]
    proxied: Servers
    hold: str

    @cached_property
    def past(self) -> list[Cutover]:
        return cutovers.read(self.records)

    @property
    def current(self) -> Cutover | None:
        """The cutover in progress."""
        newest = self.past[-1:]
        return newest[0] if newest and newest[0].in_progress else None

    def replicas(self, colour: str) -> int:
        """Return the number of a colour's containers as journaled; 1 for a colour without a cutover."""
        return next((cutover.replicas for cutover in reversed(self.past) if cutover.colour == colour), 1)

    def names(self, colour: str) -> tuple[str, ...]:
        """Return the servers of a colour's containers."""
        return servers.names(colour, self.replicas(colour))


class Observer:
    """Looks at journal, proxy and services."""

    def __init__(self, ask: Ask, readyz: Callable[[str], Answer]) -> None:
        self._ask, self._readyz = ask, readyz

    def look(self) -> View:
        """Return the target as it is now; raise RefusedError if the proxy or the journal does not answer."""
        records = answered(self._ask({"do": "journal read"}))["records"]
        proxied, hold = servers.parse(
            answered(self._ask({"do": "proxy show", "commands": list(servers.SHOW)}))["output"]
        )
        return View(records, proxied, hold)

    def asked(self, proxied: Servers, names: Iterable[str]) -> dict[str, servers.Server]:
        """Return the servers, those of `names` with their services' answers."""
        return readiness.asked(proxied, names, self._readyz)


class Tenure:
    """One ownership of the lock by the agent."""

    def __init__(self, ask: Ask, takeover: int | None = None) -> None:
        self._ask = ask
        request = {"do": "lock acquire", "owner": ME.to_json(), "takeover": takeover}
        self.epoch = int(answered(ask(request))["epoch"])

    def __enter__(self) -> Tenure:
        return self

    def __exit__(self, *_error: object) -> None:
        self._ask({"do": "lock release", "epoch": self.epoch})

    def do(self, operation: str, **fields: Any) -> dict[str, Any]:
        """Do something under the epoch; raise RefusedError if it is over."""
        return answered(self._ask({"do": operation, "epoch": self.epoch, **fields}))

    def change(self, commands: Iterable[str]) -> None:
        """Change the proxy."""
        if commands := list(commands):
            self.do("proxy change", commands=commands)

    def order(self, names: Iterable[str], do: Do) -> None:
        """Order the services of servers."""
        self.do("orders give", slots={servers.profile(name): do for name in names})

    def park(self, names: Iterable[str], *, parked: bool) -> None:
        """Set the start flags, so that a container that restarts does what its order says."""
        self.do("flags set", slots={servers.profile(name): {"parked": parked} for name in names})

    def journal(self, cutover: Cutover | None, decision: Decision) -> None:
        """Append what was done."""
        about = {"cutover": cutover.id} if cutover else {}
        fields = {"did": decision.did, "step": decision.step, "state": decision.state, "facts": decision.facts}
        self.do("journal append", record={"event": cutovers.EVENT, **about, **fields, "reason": decision.reason})


class Rescue:
    """The dead man's switch, carried out."""

    def __init__(self, ask: Ask, observer: Observer, clock: Clock, note: Callable[[str], None]) -> None:
        self._ask, self._observer, self._clock, self._note = ask, observer, clock, note

    def run(self, takeover: int | None = None) -> tuple[Cutover | None, Decision] | None:
        """Bring traffic to the side that is known to be good; return what was done, for the alert.

        Args:
            takeover: the epoch of an owner that has ended.

        Raises:
            RefusedError: the lock is held or was lost, or the proxy does not answer. To be tried again.
        """
        with Tenure(self._ask, takeover) as tenure:
            view = self._observer.look()
            cutover = view.current
            candidates, olds = self._sides(view, cutover)
            self._fence(tenure, (*candidates, *olds))
            asked = self._observer.asked(view.proxied, (*candidates, *olds))
            decision = dead_man.decide(cutover, asked, view.hold, old_replicas=len(olds))
            if decision and cutover and decision.did is Did.RELOAD:
                decision = self._reload(tenure, cutover, decision, candidates, olds)
            elif decision:
                tenure.change(decision.commands)
            if decision:
                tenure.journal(cutover, decision)
        return (cutover, decision) if decision else None

    def _fence(self, tenure: Tenure, names: tuple[str, ...]) -> None:
        """Make the services refuse what the silent owner may still send, before anything depends on them."""
        tenure.order(names, Do.KEEP)
        self._until(tenure, names, SEEN_S, lambda answer: answer.epoch is None or answer.epoch >= tenure.epoch)

    def _sides(self, view: View, cutover: Cutover | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if cutover is None:
            return (), ()
        return servers.names(cutover.colour, cutover.replicas), view.names(cutover.old) if cutover.old else ()

    def _reload(
        self, tenure: Tenure, cutover: Cutover, decision: Decision, candidates: tuple[str, ...], olds: tuple[str, ...]
    ) -> Decision:
        """Make the old colour serve again. The gate opens in any case: with no usable server the proxy itself waits."""
        self._note(f"cutover {cutover.id}: {cutover.old} loads its model again and gets the waiting requests")
        tenure.change(servers.state(candidates, "maint"))
        if self._exchange(tenure, candidates, olds):
            tenure.change(dead_man.serve_commands(olds))
            return decision
        if cutover.proven:
            self._note(f"cutover {cutover.id}: {cutover.old} did not come back; the verified candidate serves")
            if self._exchange(tenure, olds, candidates):
                commands, reason = dead_man.serve_commands(candidates), f"{cutover.old} did not load its model"
                tenure.change(commands)
                return replace(decision, did=Did.SERVE, step="switch", state="switched", reason=reason)
        self._give_gpu(tenure, candidates, olds)  # it may load its model later
        # In rotation, but down until a health check passes.
        down = [f"set server {servers.BACKEND}/{name} health down" for name in olds]
        tenure.change((*servers.state(olds, "drain"), *down, *dead_man.serve_commands(olds)))
        return replace(decision, did=Did.OPEN, reason=f"{cutover.old} did not load its model; no release serves")

    def _exchange(self, tenure: Tenure, unload: tuple[str, ...], load: tuple[str, ...]) -> bool:
        """Move the GPU from some servers to others; return whether the latter are ready in time."""
        self._give_gpu(tenure, unload, load)
        return self._until(tenure, load, LOAD_S, lambda answer: answer.phase == "ready")

    def _give_gpu(self, tenure: Tenure, unload: tuple[str, ...], load: tuple[str, ...]) -> None:
        tenure.park(unload, parked=True)
        tenure.park(servers.slots(load), parked=False)  # the orchestrator parks the whole colour
        tenure.order(unload, Do.UNLOAD)
        self._until(tenure, unload, UNLOAD_S, lambda answer: answer.phase in {"", "unloaded"})
        tenure.order(load, Do.LOAD)

    def _until(
        self, tenure: Tenure, names: tuple[str, ...], within_s: float, condition: Callable[[Answer], bool]
    ) -> bool:
        """Wait until all servers meet a condition, with a heartbeat at each look."""
        began = self._clock.now()
        while True:
            tenure.do("lock beat")
            found = self._observer.asked(self._observer.look().proxied, names)
            if all(name in found and condition(found[name].answer) for name in names):
                return True
            if self._clock.now() - began > within_s:
                return False
            self._clock.sleep(POLL_S)


def answered(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a positive answer; raise RefusedError for any other."""
    if answer["ok"]:
        return answer
    raise RefusedError(Refusal(answer["refusal"]), answer["message"])
