"""The service, or another server, without a stack: a process on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from harness.addresses import free_port
from harness.stack import wait_for

START_S = 180


@dataclass(frozen=True)
class LoneServer:
    """A server that answers."""

    url: str
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used, in seconds."""
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def lone_service(**settings: str) -> Iterator[LoneServer]:
    """Yield a ready service with the embedded voice and these settings (`TTS_...`)."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        own = {"TTS_ENGINE": "piper", "TTS_PORT": str(port), "TTS_CONTROL": str(Path(folder, "control.sock"))}
        argv = [sys.executable, "-m", "service"]
        with server(argv, f"http://127.0.0.1:{port}", "/readyz", **own, **settings) as found:
            yield found


@contextmanager
def server(argv: list[str], url: str, ready: str, **environment: str) -> Iterator[LoneServer]:
    """Run a server until the end of the block, and yield it once the path `ready` answers."""

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{argv!r} exited with code {process.returncode}; run it by hand to see why")
        with suppress(requests.RequestException):
            return requests.get(url + ready, timeout=5).ok
        return False

    with subprocess.Popen(argv, env=os.environ | environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"{url}{ready}", answers, START_S)
            yield LoneServer(url, psutil.Process(process.pid))
        finally:
            process.terminate()
