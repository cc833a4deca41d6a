"""Send and resolve alerts; a failure here never changes the result of a cutover."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace

from build.errors import LockLostError, OrchestratorError
from build.model.hook_points import Point
from build.notify import alert_client, hooks
from build.notify.alert import Alert, evaluate
from build.notify.hook import redact
from build.progress import Progress
from build.state.history import Cutover
from build.target.types import Target


def raise_alert(target: Target, progress: Progress, error: BaseException, cutover: Cutover | None) -> None:
    """Send an alert to the configured receivers if the error needs one; then run the on-alert hook."""
    settings = target.settings
    if not (alert := evaluate(settings.project, error, cutover)):
        return
    clean = replace(alert, **{field.name: redact(getattr(alert, field.name), os.environ) for field in fields(alert)})
    _send(target, progress, clean)
    # A process that lost the cutover lock must not write the journal.
    journal = None if isinstance(error, LockLostError) else target.journal
    hooks.notify(Point.ON_ALERT, settings, journal, progress, cutover, clean.error)


def _send(target: Target, progress: Progress, alert: Alert) -> None:
    url, manager = (
        address.get_secret_value() for address in (target.settings.alert_webhook, target.settings.alertmanager)
    )
    if url:
        _try(progress, "alert webhook", lambda: alert_client.webhook(url, alert))
    if manager:
        _try(progress, "Alertmanager", lambda: alert_client.fire(manager, alert))


def resolve(target: Target, progress: Progress) -> None:
    """Resolve earlier alerts after a successful cutover."""
    if manager := target.settings.alertmanager.get_secret_value():
        _try(progress, "Alertmanager", lambda: alert_client.resolve(manager, target.settings.project))


def _try(progress: Progress, receiver: str, act: Callable[[], object]) -> None:
    try:
        act()
    except OrchestratorError as error:
        progress.note(f"{receiver}: {error.message}")
