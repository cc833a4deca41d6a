"""Alerts: which errors need a person, the alert's content, and the end of earlier alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from build.errors import (
    InterruptedByUserError,
    LockHeldError,
    LockLostError,
    NoLastGoodError,
    NothingToResumeError,
    OlderReleaseError,
    ReportedError,
    RollbackIncompleteError,
    StateCorruptError,
)
from build.model.states import State
from build.state.history import Cutover

NAME = "CutoverNeedsAttention"
# No alert: nothing was begun, or the operator stopped the command and sees the error. If the rollback after that fails,
# the error is a RollbackIncompleteError.
QUIET = (LockHeldError, NoLastGoodError, NothingToResumeError, OlderReleaseError, InterruptedByUserError)
GRAVE = (LockLostError, RollbackIncompleteError, StateCorruptError)
# Alertmanager resolves an alert without an end after five minutes of silence; this alert is sent only once.
LASTS = timedelta(days=7)


@dataclass(frozen=True)
class Alert:
    """One alert. `cutover`, `release` and `state` are "" if it concerns no cutover."""

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
        """Return the JSON body for a webhook."""
        return {"alertname": NAME, **asdict(self)}

    def alertmanager(self, now: datetime) -> list[dict[str, Any]]:
        """Return the JSON body for Alertmanager's API v2."""
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
    """Return the alert for an error, or None; `cutover` is the one that the error ended, if it had begun."""
    if isinstance(error, QUIET):
        return None
    message = (error.message if isinstance(error, ReportedError) else str(error)) or type(error).__name__
    code = error.exit_code if isinstance(error, ReportedError) else 1
    remedy = error.remedy if isinstance(error, ReportedError) else ""
    rolled_back = cutover is not None and cutover.state in {State.ROLLED_BACK, State.HELD}
    return Alert(
        project=project,
        severity="critical" if isinstance(error, GRAVE) or rolled_back else "warning",
        summary=_summary(cutover, message),
        runbook=f"{remedy or 'python -m build.cutover status'} (docs/operations/runbook.md, code {code})",
        cutover=cutover.id if cutover else "",
        kind=cutover.kind if cutover else "",
        release=cutover.release.sha if cutover else "",
        state=cutover.state.value if cutover else "",
        error=message,
    )


def _summary(cutover: Cutover | None, message: str) -> str:
    first = message.partition("\n")[0]
    if cutover is None:
        return first
    outcome = f"ended as {cutover.state}" if cutover.ended else f"is not finished ({cutover.state})"
    return f"{cutover.kind} to {cutover.release} {outcome}: {first}"


def resolved(firing: Iterable[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the body that resolves Alertmanager's firing alerts, without Alertmanager's own fields."""
    fields = ("labels", "annotations", "startsAt")
    return [{**{key: alert[key] for key in fields}, "endsAt": now.isoformat()} for alert in firing]
