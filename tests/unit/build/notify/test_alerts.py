"""Alerts: which errors raise one, and delivery to an HTTP server with chosen statuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from build.errors import (
    CommandFailedError,
    InterruptedByUserError,
    LockHeldError,
    LockLostError,
    RollbackIncompleteError,
)
from build.notify import alert, alert_client
from build.notify.alert import Alert
from build.state import history

ALERT = Alert("p", "warning", "it failed", "look")


class Webhook(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), WebhookHandler)
        self.statuses: list[int] = []
        self.bodies: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/a-secret"


class WebhookHandler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr(alert_client, "PAUSE_S", 0.0)
    with Webhook() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_webhook_gets_the_alert_once(webhook: Webhook) -> None:
    alert_client.webhook(webhook.url, ALERT)
    assert [(body["alertname"], body["summary"]) for body in webhook.bodies] == [(alert.NAME, "it failed")]


def test_an_alert_is_retried_unless_the_receiver_rejects_it(webhook: Webhook) -> None:
    webhook.statuses = [503, 429, 200]
    alert_client.webhook(webhook.url, ALERT)
    assert len(webhook.bodies) == 3
    webhook.statuses = [404]
    with pytest.raises(CommandFailedError, match="HTTP 404") as raised:
        alert_client.webhook(webhook.url, ALERT)
    assert len(webhook.bodies) == 4
    assert "secret" not in raised.value.message


def test_retries_are_limited(webhook: Webhook) -> None:
    webhook.statuses = [500] * 10
    with pytest.raises(CommandFailedError, match="HTTP 500"):
        alert_client.webhook(webhook.url, ALERT)
    assert len(webhook.bodies) == alert_client.ATTEMPTS


def test_a_held_lock_raises_no_alert_and_a_lost_lock_is_critical() -> None:
    assert alert.evaluate("p", LockHeldError("taken"), None) is None
    lost = alert.evaluate("p", LockLostError("lost", remedy="resume"), None)
    assert lost
    assert (lost.severity, lost.runbook) == ("critical", "resume (docs/operations/runbook.md, code 30)")


def test_an_interrupt_raises_no_alert_unless_its_rollback_fails() -> None:
    assert alert.evaluate("p", InterruptedByUserError("interrupted by SIGINT"), None) is None
    (cutover,) = history.read(
        [
            {
                "seq": 0, "at": "2026-11-30T00:00:00.000Z", "event": "begin", "cutover": "x", "kind": "switch",
                "strategy": "overlap", "colour": "green", "release": {"sha": "b" * 40, "image": "b"}, "previous": None,
            },
            {"seq": 1, "at": "", "event": "done", "cutover": "x", "state": "admitted"},
        ]
    )  # fmt: skip
    stuck = alert.evaluate("p", RollbackIncompleteError("blue does not serve"), cutover)
    assert stuck
    assert stuck.severity == "critical"
    assert stuck.summary == "switch to bbbbbbbbbbbb is not finished (admitted): blue does not serve"
