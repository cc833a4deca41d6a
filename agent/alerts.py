"""Alerts of the agent: a line in its log, and Alertmanager's API v2 where an address is set.

Labels and names are those of the orchestrator's alerts (build.notify.alert). So one route serves both, and the next
successful cutover resolves them. That clients are not served is an alert of its own: it ends when they are.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

NAME = "CutoverNeedsAttention"
UNHEALTHY = "LiveReleaseUnhealthy"  # sent again while it lasts, so that it ends by itself
RUNBOOK = "python -m build.cutover status (docs/operations/runbook.md)"
LASTS = timedelta(days=7)  # Alertmanager resolves an alert without an end after five minutes
UNHEALTHY_LASTS = timedelta(minutes=5)
TIMEOUT_S = 5


@dataclass(frozen=True)
class Alerts:
    """Where alerts go: the log, and the Alertmanager whose address is in a file, if it exists.

    The address may contain a secret, so it is neither in the container's environment nor in its labels. An
    orchestrator sends it when it acquires the lock.
    """

    project: str
    address: Path

    def send(self, summary: str, *, severity: str = "critical", release: str = "", cutover: str = "") -> None:
        """Log and post an alert. A receiver that fails is logged: nothing that the agent does depends on it."""
        note(f"alert ({severity}): {summary}")
        self._deliver(NAME, summary, LASTS, severity=severity, release=release, cutover=cutover)

    def unhealthy(self, summary: str, release: str) -> None:
        """Log and post that clients are not served; to be called again while it lasts."""
        note(f"alert (critical): {summary}")
        self._deliver(UNHEALTHY, summary, UNHEALTHY_LASTS, release=release)

    def healthy(self, release: str) -> None:
        """Log that clients are served again, and resolve the alert of `unhealthy`."""
        note("the live release is healthy again")
        self._deliver(UNHEALTHY, "the live release is healthy again", timedelta(0), release=release)

    def _deliver(
        self, name: str, summary: str, lasts: timedelta, *, release: str, severity: str = "critical", cutover: str = ""
    ) -> None:
        now = datetime.now(UTC)
        labels = {"alertname": name, "project": self.project, "release": release or "none", "severity": severity}
        annotations = {"summary": summary, "runbook": RUNBOOK, "cutover": cutover}
        ends = (now + lasts).isoformat()
        body = [{"labels": labels, "annotations": annotations, "startsAt": now.isoformat(), "endsAt": ends}]
        try:
            if manager := self.address.read_text().strip() if self.address.exists() else "":
                _post(manager, json.dumps(body).encode())
        except Exception as error:  # noqa: BLE001 - such as http.client.InvalidURL, which is neither OSError nor ValueError
            # Without the address, which may contain a secret.
            note(f"Alertmanager did not accept the alert: {type(error).__name__}")


def _post(manager: str, body: bytes) -> None:
    url = f"{manager.rstrip('/')}/api/v2/alerts"
    if not url.startswith(("http://", "https://")):
        raise ValueError("no address of HTTP")
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    headers = {"Content-Type": "application/json"}
    if user:  # urllib would take it for a part of the host
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    address = f"{scheme}://{host}{slash}{path}"
    request = urllib.request.Request(address, body, headers)  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
        pass


def note(line: str) -> None:
    """Write a line to the agent's log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
