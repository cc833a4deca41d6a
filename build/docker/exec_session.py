"""Persistent process that answers line by line, opened in advance so that a time-critical request costs no start."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import IO, cast

from build.errors import CommandFailedError

MARK = "== "  # prefix of the line that ends an answer
BLOCK = 65536


class ExecSession:
    """A running process that answers requests.

    Every method raises CommandFailedError if the process has exited or does not answer; discard the object then.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._shown = shlex.join(argv)[:200]
        self._buffer = b""
        try:
            # In its own session, so that Ctrl-C reaches only the orchestrator, which may have to roll back.
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CommandFailedError(f"{argv[0]} is not installed", remedy="run `scripts/bootstrap`") from None
        self._input, self._output = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def ask(self, *lines: str, timeout_s: float = 30.0) -> tuple[list[str], str]:
        """Send lines; return the answer's lines and the text after `== ` on its last line."""
        try:
            self._input.write("".join(f"{line}\n" for line in lines).encode())
        except OSError:
            raise self._failure("has exited") from None
        answer: list[str] = []
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(deadline, answer)
            if line.startswith(MARK):
                return answer, line.removeprefix(MARK)
            answer.append(line)

    def _line(self, deadline: float, lines: list[str]) -> str:
        while b"\n" not in self._buffer:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 or not select.select([self._output], [], [], remaining_s)[0]:
                raise self._failure("does not answer", lines)
            block = os.read(self._output.fileno(), BLOCK)
            if not block:
                raise self._failure("has exited", lines)
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def _failure(self, what: str, lines: Sequence[str] = ()) -> CommandFailedError:
        rest = self._buffer.decode(errors="replace")
        return CommandFailedError(f"`{self._shown}` {what}", detail="\n".join([*lines, rest]).strip())

    def close(self) -> None:
        """End the process; its command in the container exits when its input closes."""
        for pipe in (self._input, self._output):
            pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def inside(container: str, *argv: str) -> ExecSession:
    """Open a session with a command in a running container, on the selected engine (build.docker.daemon)."""
    return ExecSession(["docker", "exec", "--interactive", container, *argv])
