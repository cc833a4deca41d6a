"""Alerts: what needs a person, how it is put, and when an earlier one is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from build.errors import (
    LeaseLostError,
    LineError,
    LockHeldError,
    NoLastGoodError,
    NothingToResumeError,
    StateCorruptError,
)
from build.model.states import State
from build.state.history import Cutover

NAME = "CutoverNeedsAttention"
# What whoever asked is told, and nobody else needs to know: nothing was begun.
QUIET = (LockHeldError, NoLastGoodError, NothingToResumeError)
GRAVE = (LeaseLostError, StateCorruptError)
# Without an end Alertmanager takes silence for recovery after five minutes; nobody repeats this alert.
LASTS = timedelta(days=7)


@dataclass(frozen=True)
class Alert:
    """One alert. `cutover`, `release` and `state` are empty when it is of no cutover."""

    project: str
    severity: str
    summary: str
    runbook: str
    cutover: str = ""
    kind: str = ""
    release: str = ""
    state: str = ""
    error: str = ""

    def webhook(self) -> dict[str, str]:
        """The JSON that a webhook gets."""
        return {"alertname": NAME, **asdict(self)}

    def alertmanager(self, now: datetime) -> list[dict[str, Any]]:
        """As Alertmanager's API v2 wants it."""
        labels = {
            "alertname": NAME,
            "project": self.project,
            "release": self.release or "none",
            "severity": self.severity,
        }
        annotations = {"summary": self.summary, "runbook": self.runbook, "cutover": self.cutover}
        ends = (now + LASTS).isoformat()
        return [{"labels": labels, "annotations": annotations, "startsAt": now.isoformat(), "endsAt": ends}]


def evaluate(project: str, error: BaseException, cutover: Cutover | None) -> Alert | None:
    """The alert that an error calls for, if any; `cutover` is the one that it ended, if it came that far."""
    if isinstance(error, QUIET):
        return None
    said = (error.message if isinstance(error, LineError) else str(error)) or type(error).__name__
    code = error.exit_code if isinstance(error, LineError) else 1
    remedy = error.remedy if isinstance(error, LineError) else ""
    back = cutover is not None and cutover.state in {State.ROLLED_BACK, State.HELD}
    return Alert(
        project=project,
        severity="critical" if isinstance(error, GRAVE) or back else "warning",
        summary=_summary(cutover, said),
        runbook=f"{remedy or 'python -m build.cutover status'} (docs/reference/exit-codes.md, code {code})",
        cutover=cutover.id if cutover else "",
        kind=cutover.kind if cutover else "",
        release=cutover.release.sha if cutover else "",
        state=cutover.state.value if cutover else "",
        error=said,
    )


def _summary(cutover: Cutover | None, said: str) -> str:
    first = said.partition("\n")[0]
    if cutover is None:
        return first
    return f"{cutover.kind} to {cutover.release} ended as {cutover.state}: {first}"


def resolved(firing: Iterable[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """What to post so that the alerts that Alertmanager has are over; its own fields are left out."""
    kept = ("labels", "annotations", "startsAt")
    return [{**{key: alert[key] for key in kept}, "endsAt": now.isoformat()} for alert in firing]
