"""The journal read as history: which cutovers there were, what is in progress, which release was last good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from build.model.release import Release
from build.model.states import FINAL, SERVING, State, Strategy


class Event(StrEnum):
    """What a journal record says. An intent is written before the act, its outcome (done, failed) after."""

    BEGIN = "begin"
    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    END = "end"
    SHARE = "share"  # a canary has proven itself at a share of the traffic
    PAUSED = "paused"  # a step could not be judged; it waits as it is for `resume` or `abort`
    HOOK = "hook"  # a user's command ran; it moves nothing
    LEASE_BROKEN = "lease-broken"  # of no cutover: somebody took the lease from whoever had it, and says why


@dataclass
class Cutover:
    """One cutover as the journal tells it.

    Attributes:
        colour: the one that the release goes to.
        previous: what was live before it.
        plan: how it shares the GPU (build.cutover.rules.gpu.Plan).
        began, ended: by the target's clock; `ended` is empty while it is under way.
        rollout: the canary and the soak that it was begun with (build.model.rollout.Rollout).
        step: the one that was begun last; empty once it has ended.
        paused: why it waits for somebody to go on with it; empty while it does not.
    """

    id: str
    kind: str
    release: Release
    colour: str
    previous: Release | None
    began: str
    strategy: Strategy = Strategy.OVERLAP
    plan: dict[str, Any] = field(default_factory=dict)
    rollout: dict[str, Any] = field(default_factory=dict)
    state: State = State.PULLED
    step: str = ""
    ended: str = ""
    paused: str = ""
    error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def served(self) -> bool:
        """True when this cutover put its release live and left it there."""
        return self.state in SERVING


def read(records: Iterable[dict[str, Any]]) -> list[Cutover]:
    """Folds journal records, oldest first, into cutovers.

    Raises:
        ValueError: a record belongs to no cutover that was begun, or names an unknown event or state.
    """
    cutovers: dict[str, Cutover] = {}
    for record in records:
        event, identity = Event(record["event"]), str(record.get("cutover"))
        if event is Event.LEASE_BROKEN:
            continue
        if event is Event.BEGIN:
            cutovers[identity] = _begun(record)
        elif identity not in cutovers:
            raise ValueError(f"record {record['seq']} belongs to cutover {identity}, which was never begun")
        else:
            _apply(cutovers[identity], event, record)
    return list(cutovers.values())


def _begun(record: dict[str, Any]) -> Cutover:
    previous = record["previous"]
    return Cutover(
        id=record["cutover"],
        kind=record["kind"],
        release=Release(**record["release"]),
        colour=record["colour"],
        previous=Release(**previous) if previous else None,
        began=record["at"],
        strategy=Strategy(record["strategy"]),
        plan=record.get("plan", {}),
        rollout=record.get("rollout", {}),
    )


def _apply(cutover: Cutover, event: Event, record: dict[str, Any]) -> None:
    if event is Event.INTENT:
        cutover.step, cutover.paused = record["step"], ""
    if event is Event.PAUSED:
        cutover.paused = record["error"]
    if event is Event.SHARE:
        cutover.facts.setdefault("canary", []).append(record["facts"])
    if event in {Event.DONE, Event.FAILED, Event.END}:
        cutover.facts.update(record.get("facts", {}))
    if event in {Event.DONE, Event.END}:
        cutover.state = State(record["state"])
    if event is Event.FAILED:
        cutover.error = record["error"]
    if event is Event.END:
        cutover.ended, cutover.step, cutover.paused = record["at"], "", ""


def broken_leases(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of leases that were taken from their owners: at, owner, by, reason."""
    return [record for record in records if record["event"] == Event.LEASE_BROKEN]


def in_progress(history: list[Cutover]) -> Cutover | None:
    """The newest cutover, while it has no end; only one at a time can be under way."""
    newest = history[-1] if history else None
    return newest if newest and not newest.ended and newest.state not in FINAL else None


def last_good(history: list[Cutover], live: Release | None) -> Release | None:
    """Where a rollback goes by default: the newest release that served before `live` and was not left in doubt.

    A release that somebody rolled back from is in doubt until a later cutover makes it live again.
    """
    good: list[Release] = []
    for cutover in history:
        if not cutover.served:
            continue
        if cutover.kind == "rollback" and cutover.previous:
            good = [release for release in good if release.sha != cutover.previous.sha]
        elif cutover.previous and cutover.previous not in good:
            good.append(cutover.previous)  # what was live before the first journaled cutover
        good = [release for release in good if release.sha != cutover.release.sha] + [cutover.release]
    return next((release for release in reversed(good) if live is None or release.sha != live.sha), None)
