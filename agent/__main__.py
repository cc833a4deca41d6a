"""`python3 -m agent`: serve the protocol on a Unix socket and guard the target until SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn, cast

from agent import readiness
from agent.alerts import Alerts, note
from agent.guardian import Guardian
from agent.haproxy import HAProxy
from agent.lock import EXPIRY_S
from agent.orders import Orders
from agent.protocol import SOCKET, Refusal, RefusedError
from agent.rescue import Clock
from agent.start_flags import StartFlags
from agent.target import ALERTMANAGER, Target, boot_time

LINE_BYTES = 2**20  # of one request: a record with all of its facts is a few kilobytes


class Sessions(socketserver.ThreadingUnixStreamServer):
    """One thread for each session."""

    daemon_threads = True

    def __init__(self, path: str, target: Target) -> None:
        Path(path).unlink(missing_ok=True)
        super().__init__(path, Session)
        Path(path).chmod(0o600)
        self.target = target


class Session(socketserver.StreamRequestHandler):
    """Answers the requests of one connection in order, until the other side closes it."""

    def handle(self) -> None:
        target = cast(Sessions, self.server).target
        while line := self.rfile.readline(LINE_BYTES):
            rest = line
            while rest and not rest.endswith(b"\n"):  # too long: its rest must not be answered as another request
                rest = self.rfile.readline(LINE_BYTES)
            try:
                request = json.loads(line)
                answer = target.answer(request if isinstance(request, dict) else {})
            except ValueError:
                answer = RefusedError(Refusal.INVALID, f"no line of JSON, or one over {LINE_BYTES} bytes").answer()
            try:
                self.wfile.write(f"{json.dumps(answer, separators=(',', ':'))}\n".encode())
            except OSError:
                return  # the session is gone; what it asked for is done, and the journal says so


def main() -> None:
    """Serve until SIGTERM; the folders come from the environment, for tests."""
    state = Path(os.environ.get("AGENT_STATE", "/var/lib/cutover"))
    proxy = HAProxy(
        Path(os.environ.get("AGENT_PROXY_SOCKET", "/run/haproxy/admin.sock")),
        Path(os.environ.get("AGENT_PROXY_STATE", "/var/lib/haproxy")),
    )
    orders = Path(os.environ.get("AGENT_FLAGS", "/run/orders"))
    signal.signal(signal.SIGTERM, _stop)
    expiry_s = float(os.environ.get("AGENT_EXPIRY_S", EXPIRY_S))
    target = Target(state, proxy, StartFlags(orders), Orders(orders), expiry_s=expiry_s)
    with Sessions(os.environ.get("AGENT_SOCKET", SOCKET), target) as sessions:
        guardian = _guardian(target, state, expiry_s)
        threading.Thread(target=guardian.run, args=(threading.Event(),), daemon=True).start()
        sessions.serve_forever()


def _guardian(target: Target, state: Path, expiry_s: float) -> Guardian:
    alerts = Alerts(os.environ.get("AGENT_PROJECT", "glm-tts"), state / ALERTMANAGER)
    return Guardian(target.answer, readiness.readyz, Clock(boot_time, time.sleep), alerts, note, expiry_s)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    # What was acknowledged is durable, and what was not may be asked for again: there is nothing to finish.
    sys.exit(0)


if __name__ == "__main__":
    main()
