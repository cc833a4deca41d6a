"""Alerts as Alertmanager receives them."""

from __future__ import annotations

import http.server
import json
import threading
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.alerts import NAME, Alerts
from build.notify import alert
from build.notify.alert import Alert


@pytest.fixture
def address(tmp_path: Path) -> Path:
    """Return the file with Alertmanager's address, which does not exist yet."""
    return tmp_path / "alertmanager"


def test_an_alert_has_the_orchestrators_labels(address: Path, capsys: pytest.CaptureFixture[str]) -> None:
    received: list[tuple[str, str, list[dict[str, object]]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address.write_text(f"http://me:p%40ss@127.0.0.1:{server.server_port}/\n")
        Alerts("speech", address).send("blue is sick", release="abc", cutover="1")
        server.shutdown()
    ((path, authorization, (sent,)),) = received
    assert b64decode(authorization.removeprefix("Basic ")) == b"me:p@ss"
    assert path == "/api/v2/alerts"
    assert NAME == alert.NAME
    own = Alert("speech", "critical", "blue is sick", "", "1", release="abc").alertmanager(datetime.now(UTC))[0]
    assert sent["labels"] == own["labels"]
    assert set(sent) == set(own)
    assert "alert (critical): blue is sick" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/?token=secret",
        "file:///etc/passwd",
        "http://secret@127.0.0.1:nonsense",  # http.client.InvalidURL, whose message has the address
        "http://127.0.0.1:1/a secret",
    ],
)
def test_a_receiver_that_fails_is_a_line_without_its_address(
    url: str, address: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address.write_text(url)
    Alerts("speech", address).send("blue is sick")
    output = capsys.readouterr().out
    assert "did not accept" in output
    assert "secret" not in output
