"""Cutovers as the agent needs them, from the journal's records: which one is in progress, and how far it is.

The orchestrator has its own reader (build.state.history). This one knows steps, states and strategies by name. It
ignores unknown events, since an older agent may read the journal of a newer orchestrator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

EVENT = "agent"  # of the records that the agent itself writes
ROLLBACK, HOLD = "rollback", "hold"  # a kind and a strategy

FINAL = frozenset({"retired", "rolled-back", "failed", "held"})
SERVING = frozenset({"switched", "soaking", "retired"})
VERIFIED = frozenset({"verified", "admitted"})
PROVEN = VERIFIED | SERVING | {"canary"}


class Phase(Enum):
    """Where the traffic is while a cutover is in progress."""

    BEFORE = auto()  # the old colour has it
    SPLIT = auto()  # both colours may have some
    HELD = auto()  # it may wait at the gate
    SOAK = auto()  # the candidate has it and is on probation
    SERVES = auto()  # the candidate has it


_BY_STEP = {
    "hold": Phase.HELD,
    "canary": Phase.SPLIT,
    "switch": Phase.SPLIT,
    "soak": Phase.SOAK,
    "retire": Phase.SERVES,
}
_BY_STATE = {
    "holding": Phase.HELD,
    "loaded": Phase.HELD,
    "canary": Phase.SPLIT,
    "switched": Phase.SOAK,
    "soaking": Phase.SERVES,
}
_HELD_STEPS = frozenset({"hold", "load", "verify", "admit", "switch"})


@dataclass(frozen=True)
class Cutover:
    """One cutover as journaled.

    Attributes:
        release, previous: SHAs of the candidate and of the old release; `previous` is "" for the first release.
        replicas: number of the candidate's containers.
        soaks: whether a soak follows the switch.
        state: the state reached last.
        step: the step begun last.
        pending: whether that step has neither succeeded nor been settled by the agent.
        paused: whether it waits for an operator.
        ended: whether it has an end record.
        settled: whether its newest record is the agent's.
    """

    id: str
    kind: str
    strategy: str
    colour: str
    release: str
    previous: str
    replicas: int = 1
    soaks: bool = False
    state: str = "pulled"
    step: str = ""
    pending: bool = False
    paused: bool = False
    ended: bool = False
    settled: bool = False

    @property
    def old(self) -> str:
        """The old colour; "" for the first release."""
        return other(self.colour) if self.previous else ""

    @property
    def in_progress(self) -> bool:
        return not self.ended and self.state not in FINAL

    @property
    def proven(self) -> bool:
        """Whether the candidate has passed the gate."""
        return self.state in PROVEN

    @property
    def served(self) -> bool:
        """Whether it ended with its release live."""
        return not self.in_progress and self.state in SERVING

    @property
    def phase(self) -> Phase:
        """Where the traffic is, as far as the journal knows."""
        if self.strategy == HOLD and (
            (self.pending and self.step in _HELD_STEPS) or (not self.pending and self.state in VERIFIED)
        ):
            return Phase.HELD
        if self.pending:
            return _BY_STEP.get(self.step, Phase.BEFORE)
        if self.state == "switched" and not self.soaks:
            return Phase.SERVES
        return _BY_STATE.get(self.state, Phase.BEFORE)


def other(colour: str) -> str:
    """Return the other colour."""
    return "green" if colour == "blue" else "blue"


def read(records: Sequence[dict[str, Any]]) -> list[Cutover]:
    """Return all cutovers, oldest first."""
    found: dict[str, Cutover] = {}
    for record in records:
        identity = str(record.get("cutover"))
        if record.get("event") == "begin":
            found[identity] = _begun(record)
        elif identity in found:
            found[identity] = _applied(found[identity], record)
    return list(found.values())


def _begun(record: dict[str, Any]) -> Cutover:
    rollout = record.get("rollout") or {}
    previous = record.get("previous")
    return Cutover(
        id=record["cutover"],
        kind=record["kind"],
        strategy=record["strategy"],
        colour=record["colour"],
        release=record["release"]["sha"],
        previous=previous["sha"] if previous else "",
        replicas=int(rollout.get("replicas", 1)),
        soaks=bool(rollout.get("soak_s")) and record["kind"] != ROLLBACK and bool(previous),
    )


def _applied(cutover: Cutover, record: dict[str, Any]) -> Cutover:
    cutover = replace(cutover, settled=record["event"] == EVENT)
    match record["event"]:
        case "intent":
            return replace(cutover, step=record["step"], pending=True, paused=False)
        case "done":
            return replace(cutover, state=record["state"], pending=False)
        case "agent":
            return replace(cutover, state=record["state"], step=record["step"], pending=False, paused=False)
        case "paused":
            return replace(cutover, paused=True)
        case "end":
            return replace(cutover, state=record["state"], pending=False, ended=True)
        case _:
            return cutover


def moved_by_watch(records: Sequence[dict[str, Any]]) -> bool:
    """Return whether the watch has moved traffic since the newest cutover began."""
    for record in reversed(records):
        if record.get("event") == "begin":
            return False
        if record.get("event") == EVENT and record.get("did") == "standby":
            return True
    return False
