"""Fixes for docker-py's ssh transport.

docker-py gives each request its own pool, connection and ssh process, and treats the process as a socket. Three things
differ from a socket:

- A closed socket can still be read through its file object, which HTTP does for an answer without a length. docker-py
  ends the ssh process at once and loses the rest of the answer.
- After an exec, the engine may already have closed the connection. docker-py then writes to it, and the broken pipe
  error replaces the answer.
- A read from a socket has a time limit. docker-py waits for the process's output without end.

docker-py also passes port 22 to ssh for an address without a port, which overrides the port of ssh's configuration.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
from typing import TYPE_CHECKING

from docker.transport.sshconn import SSHSocket

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DEFAULT_PORT = "22"
_connect = SSHSocket.connect


def fix_transport() -> None:
    """Patch docker-py: time limits of reads, a close only after the answer is read and without an error, ssh's port."""
    SSHSocket.makefile = _makefile
    SSHSocket.close = _close
    SSHSocket.connect = _connect_to_configured_port


class _Bytes(io.RawIOBase):
    """The output of ssh, unbuffered; a read takes no longer than the time limit of its connection."""

    def __init__(self, connection: SSHSocket) -> None:
        self._connection = connection
        self._pipe: io.FileIO = connection.proc.stdout.detach()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        limit_s = self._connection.gettimeout()
        if not select.select([self._pipe], [], [], limit_s)[0]:
            raise TimeoutError(f"no answer within {limit_s:g} s")
        return self._pipe.readinto(buffer)

    def close(self) -> None:
        self._pipe.close()
        super().close()


class _Output(io.BufferedReader):
    """The output of ssh. Closing it ends the connection, which serves one request."""

    def __init__(self, connection: SSHSocket) -> None:
        super().__init__(_Bytes(connection))
        self.channel = connection  # docker-py reads this attribute to find the connection of an answer

    def close(self) -> None:
        if not self.closed:
            super().close()
            _end(self.channel)


def _connect_to_configured_port(connection: SSHSocket, **options: object) -> None:
    if connection.port == DEFAULT_PORT:
        connection.port = None  # ssh's own default, or the port of its configuration
    _connect(connection, **options)


def _makefile(connection: SSHSocket, _mode: str) -> _Output:
    if not connection.proc:
        connection.connect()
    output = connection.proc.stdout = _Output(connection)
    return output


def _close(connection: SSHSocket) -> None:
    if not connection.proc or not isinstance(connection.proc.stdout, _Output):
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
