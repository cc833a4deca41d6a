"""Persistent process that answers line by line, opened in advance so that a time-critical request costs no start."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import IO, cast

from build.errors import CommandFailedError

BLOCK = 65536


class ExecSession:
    """A running process that answers each line with one line.

    Every method raises CommandFailedError if the process has exited or does not answer; discard the object then.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._shown = shlex.join(argv)[:200]
        # Apart from the answers: docker writes warnings there. In a file, since a full pipe would block it.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        try:
            # In its own session, so that Ctrl-C reaches only the orchestrator, which may have to roll back.
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,
            )
        except FileNotFoundError:
            self._errors.close()
            raise CommandFailedError(f"{argv[0]} is not installed", remedy="run `scripts/bootstrap`") from None
        self._input, self._output = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def ask(self, line: str, timeout_s: float) -> str:
        """Send a line and return the answer's line."""
        deadline = time.monotonic() + timeout_s
        self._send(f"{line}\n".encode(), deadline)
        blocks: list[bytes] = []
        while not (blocks and b"\n" in blocks[-1]):
            self._await(self._output, deadline, reads=True)
            blocks.append(os.read(self._output.fileno(), BLOCK))
            if not blocks[-1]:
                raise self._failure("has exited")
        return b"".join(blocks).decode(errors="replace").rstrip("\n")

    def _send(self, data: bytes, deadline: float) -> None:
        while data:
            self._await(self._input, deadline, reads=False)
            try:
                data = data[os.write(self._input.fileno(), data[: select.PIPE_BUF]) :]
            except OSError:
                raise self._failure("has exited") from None

    def _await(self, pipe: IO[bytes], deadline: float, *, reads: bool) -> None:
        left_s = max(deadline - time.monotonic(), 0)
        if not any(select.select([pipe] if reads else [], [] if reads else [pipe], [], left_s)):
            raise self._failure("does not answer")

    def _failure(self, what: str) -> CommandFailedError:
        self._errors.seek(0)
        return CommandFailedError(
            f"`{self._shown}` {what}", detail=self._errors.read().decode(errors="replace").strip()
        )

    def close(self) -> None:
        """End the process; its command in the container exits when its input closes."""
        for pipe in (self._input, self._output):
            pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def inside(container: str, *argv: str) -> ExecSession:
    """Open a session with a command in a running container, on the selected engine (build.docker.daemon)."""
    return ExecSession(["docker", "exec", "--interactive", container, *argv])
