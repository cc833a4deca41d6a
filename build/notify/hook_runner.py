"""Run an operator's command to its end or deadline, with all processes that it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_READ = 64 * 1024  # bytes of output to keep, the newest
GRACE_S = 2
POLL_S = 0.05


@dataclass(frozen=True)
class Ended:
    """Result of a command; `error` is "" when it exited with 0."""

    output: str
    took_s: float
    error: str = ""


def run(argv: Sequence[str], *, cwd: Path, timeout_s: float, facts: Mapping[str, str]) -> Ended:
    """Run `argv` in this process's environment plus `facts`; stdout and stderr are combined."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **facts},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its child processes can be killed with it
        )
    except (OSError, ValueError) as error:
        return Ended("", 0.0, f"it cannot run: {error}")
    try:
        output, in_time = _read(process, began + timeout_s)
    finally:
        _end(process)
    took_s = time.monotonic() - began
    text = output.decode(errors="replace")
    if not in_time:
        return Ended(text, took_s, f"it timed out after {timeout_s:g} s")
    return Ended(text, took_s, f"it exited with code {process.returncode}" if process.returncode else "")


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """Return the output up to the process's end (a child may keep the stream open), and whether it ended in time."""
    if process.stdout is None:
        raise ValueError("the process has no output to read")
    os.set_blocking(process.stdout.fileno(), False)
    newest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            selector.select(0 if ended else POLL_S)
            block = process.stdout.read(MOST_READ)
            newest = (newest + (block or b""))[-MOST_READ:]
            if ended and not block:
                return newest, True
            if block == b"":  # it closed its output and still runs
                time.sleep(POLL_S)
            if time.monotonic() > deadline:
                return newest, ended


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    if process.returncode != 0:  # after a successful exit its background processes keep running
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
