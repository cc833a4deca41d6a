"""The service without a stack: a process on this machine, with the embedded voice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

START_S = 120.0


@contextmanager
def lone_service(**settings: str) -> Iterator[str]:
    """Yield the URL of a ready service with these settings (`TTS_...`)."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        own = {"TTS_ENGINE": "piper", "TTS_PORT": str(port), "TTS_CONTROL": str(Path(folder, "control.sock"))}
        with server([sys.executable, "-m", "service"], f"http://127.0.0.1:{port}", "/readyz", **own, **settings) as url:
            yield url


@contextmanager
def server(argv: list[str], url: str, ready: str, **environment: str) -> Iterator[str]:
    """Run a server until the end of the block, and yield its URL once the path `ready` answers."""
    with subprocess.Popen(argv, env=os.environ | environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(process, url + ready)
            yield url
        finally:
            process.terminate()


def free_port() -> int:
    """Return a port that no server uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} exited with code {process.returncode}; run it by hand to see why")
        with suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer within {START_S:g} s")
