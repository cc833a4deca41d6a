"""An engine behind ssh: what docker-py's own transport does not do yet.

It gives each request a pool, a connection and an ssh process of its own, and takes that for a socket. A socket that is
closed can still be read through the file made of it, which is how HTTP reads an answer without a length; docker-py
ends the process at once. And it writes a farewell where the engine, after an exec, has hung up already: a broken pipe
that would take the answer with it.
"""

from __future__ import annotations

import contextlib
import io
import socket

from docker.transport.sshconn import SSHSocket


def close_like_sockets() -> None:
    """Has connections end when their answer is read, and not before, and without an error."""
    SSHSocket.makefile = _makefile
    SSHSocket.close = _close


class _Answer(io.BufferedReader):
    """What ssh hands over; its end is the connection's, which serves one request."""

    def __init__(self, connection: SSHSocket) -> None:
        super().__init__(connection.proc.stdout.detach())
        self.channel = connection  # where docker-py looks for the connection of an answer

    def close(self) -> None:
        if not self.closed:
            super().close()
            _end(self.channel)


def _makefile(connection: SSHSocket, _mode: str) -> _Answer:
    if not connection.proc:
        connection.connect()
    answer = connection.proc.stdout = _Answer(connection)
    return answer


def _close(connection: SSHSocket) -> None:
    if not connection.proc or not isinstance(connection.proc.stdout, _Answer):
        _end(connection)


def _end(connection: SSHSocket) -> None:
    socket.socket.close(connection)
    process = connection.proc
    if process is None:
        return
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.terminate()
    process.wait()
