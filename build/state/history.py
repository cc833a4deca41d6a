"""Derive history from the journal: past cutovers, the one in progress, the last good release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from build.model.release import Release
from build.model.states import FINAL, SERVING, State, Strategy


class Event(StrEnum):
    """Type of a journal record. An intent is written before the action, its outcome (done, failed) after it."""

    BEGIN = "begin"
    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    END = "end"
    SHARE = "share"
    PAUSED = "paused"
    HOOK = "hook"
    LOCK_BROKEN = "lock-broken"

    @classmethod
    def _missing_(cls, value: object) -> Event | None:
        return cls.LOCK_BROKEN if value == "lease-broken" else None  # its name in journals from before 0.1.0


@dataclass(frozen=True)
class RecordKind:
    """Meaning and fields of the records of one event, beside FIELDS; docs/reference/journal.md lists them."""

    meaning: str
    fields: tuple[str, ...]


# Every record has these; all but LOCK_BROKEN also have `cutover`, the ID of their cutover.
FIELDS = ("seq", "at", "event", "hash")
KINDS = {
    Event.BEGIN: RecordKind(
        "a cutover begins",
        ("cutover", "kind", "strategy", "plan", "rollout", "release", "colour", "previous"),
    ),
    Event.INTENT: RecordKind("a step is about to run", ("cutover", "step")),
    Event.DONE: RecordKind(
        "a step succeeded, and the cutover has reached a state", ("cutover", "step", "state", "facts")
    ),
    Event.SHARE: RecordKind("a canary passed at a share of the traffic", ("cutover", "facts")),
    Event.PAUSED: RecordKind(
        "a step has no verdict, or its rollback is incomplete; the cutover waits for `resume` or `abort`",
        ("cutover", "step", "error"),
    ),
    Event.HOOK: RecordKind(
        "an operator's hook ran; it changes no state", ("cutover", "point", "took_s", "error", "output")
    ),
    Event.FAILED: RecordKind("a step failed and was rolled back", ("cutover", "step", "error", "facts")),
    Event.END: RecordKind("the cutover ended; `facts` only after a failure", ("cutover", "state", "facts")),
    Event.LOCK_BROKEN: RecordKind(
        "an operator broke the cutover lock; it belongs to no cutover", ("owner", "by", "reason")
    ),
}


@dataclass
class Cutover:
    """One cutover as journaled.

    Attributes:
        colour: the colour that gets the release.
        previous: the live release before it.
        plan: how it shares the GPU (build.cutover.rules.gpu.Plan).
        began, ended: by the target's clock; `ended` is "" while in progress.
        rollout: its canary and soak (build.model.rollout.Rollout).
        step: the step begun last; "" after the end.
        paused: why it waits for `resume` or `abort`; "" if it does not.
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
        """True when this cutover made its release live and left it live."""
        return self.state in SERVING


def read(records: Iterable[dict[str, Any]]) -> list[Cutover]:
    """Build cutovers from journal records, oldest first.

    Raises:
        ValueError: a record without a begin of its cutover, or an unknown event or state.
    """
    cutovers: dict[str, Cutover] = {}
    for record in records:
        event, identity = Event(record["event"]), str(record.get("cutover"))
        if event is Event.LOCK_BROKEN:
            continue
        if event is Event.BEGIN:
            cutovers[identity] = _begun(record)
        elif identity not in cutovers:
            raise ValueError(f"record {record['seq']} belongs to cutover {identity}, which has no begin record")
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


def broken_locks(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of broken locks: at, owner, by, reason."""
    return [record for record in records if record["event"] == Event.LOCK_BROKEN]


def in_progress(history: list[Cutover]) -> Cutover | None:
    """Return the newest cutover if it has not ended; only one at a time can be in progress."""
    newest = history[-1] if history else None
    return newest if newest and not newest.ended and newest.state not in FINAL else None


def last_good(history: list[Cutover], live: Release | None) -> Release | None:
    """Return the default release of a rollback: the newest one that served before `live` and is not in doubt.

    A release that an operator rolled back from is in doubt until a later cutover makes it live again.
    """
    good: list[Release] = []
    for cutover in history:
        if not cutover.served:
            continue
        if cutover.kind == "rollback" and cutover.previous:
            good = [release for release in good if release.sha != cutover.previous.sha]
        elif cutover.previous and cutover.previous not in good:
            good.append(cutover.previous)  # live before the first journaled cutover
        good = [release for release in good if release.sha != cutover.release.sha] + [cutover.release]
    return next((release for release in reversed(good) if live is None or release.sha != live.sha), None)
