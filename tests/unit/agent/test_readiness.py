"""What the agent learns from /readyz, asked over HTTP."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.readiness import readyz
from agent.servers import Answer
from harness.addresses import free_port
from service.settings import Settings
from tests.unit.service.support import FakeEngine, served


def test_the_service_states_phase_release_and_epoch(tmp_path: Path) -> None:
    settings = dataclasses.replace(Settings.from_env({}), control=tmp_path / "control.sock", release="abc")
    with served(settings, FakeEngine()) as running:
        address = running.url.removeprefix("http://")
        running.service.epoch = 7
        assert readyz(address) == Answer("ready", "abc", 7)
        running.loop.call_soon_threadsafe(running.service.lifecycle.drain)
        while readyz(address).phase == "ready":
            pass
        assert readyz(address) == Answer("draining", "abc", 7)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, b"ok", Answer("ready")),
        (200, b'{"phase": "ready", "release": "old"}', Answer("ready", "old")),
        (503, b'{"phase": "unloaded", "release": "old"}', Answer("unloaded", "old")),
        (503, b"[]", Answer("unknown")),
    ],
)
def test_an_older_release_states_less(status: int, body: bytes, answer: Answer) -> None:
    with answering(status, body) as address:
        assert readyz(address) == answer


def test_no_service_is_no_answer() -> None:
    assert readyz(f"127.0.0.1:{free_port()}") == Answer()
