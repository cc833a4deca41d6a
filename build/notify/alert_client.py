"""Alerts over HTTP to a webhook and Alertmanager's API v2. An address may contain a secret, so no error repeats it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import requests

from build.errors import CommandFailedError
from build.notify.alert import NAME, Alert, resolved

TIMEOUT_S = 5
ATTEMPTS = 3
PAUSE_S = 0.5
CLIENT_ERROR, TOO_MANY, SERVER_ERROR = 400, 429, 500
ALERTS = "/api/v2/alerts"


def webhook(url: str, alert: Alert) -> None:
    """Post an alert as JSON.

    Raises:
        CommandFailedError: all ATTEMPTS failed, or the server rejected it.
    """
    _ask("POST", url, alert.webhook())


def fire(base: str, alert: Alert) -> None:
    """Raise an alert in the Alertmanager at `base`; errors as for `webhook`."""
    _ask("POST", base.rstrip("/") + ALERTS, alert.alertmanager(datetime.now(UTC)))


def resolve(base: str, project: str) -> int:
    """Resolve all alerts of a project in an Alertmanager; return their number. Errors as for `webhook`."""
    filters = [("filter", f'alertname="{NAME}"'), ("filter", f'project="{project}"')]
    firing = _ask("GET", base.rstrip("/") + ALERTS, params=filters).json()
    if firing:
        _ask("POST", base.rstrip("/") + ALERTS, resolved(firing, datetime.now(UTC)))
    return len(firing)


def _ask(method: str, url: str, body: Any = None, params: list[tuple[str, str]] | None = None) -> requests.Response:
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            answer = requests.request(method, url, json=body, params=params, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            reason = type(error).__name__
            continue
        if answer.status_code < CLIENT_ERROR:
            return answer
        reason = f"HTTP {answer.status_code}"
        if answer.status_code < SERVER_ERROR and answer.status_code != TOO_MANY:
            break
    raise CommandFailedError(f"the alert was not delivered: {reason}")
