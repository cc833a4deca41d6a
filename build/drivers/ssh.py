"""An engine behind ssh: what docker-py's own transport does not do yet."""

from __future__ import annotations

import contextlib

from docker.transport.sshconn import SSHSocket


def close_quietly() -> None:
    """Has a connection whose ssh has ended close without an error.

    After an exec the engine hangs up, ssh with it, and docker-py still writes a farewell: a broken pipe that would
    take the exec's answer with it.
    """
    SSHSocket.close = _close


def _close(connection: SSHSocket) -> None:
    process = connection.proc
    if process is None or process.stdin.closed:
        return
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.terminate()
    process.wait()
