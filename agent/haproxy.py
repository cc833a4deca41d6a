"""HAProxy's runtime socket. A change returns after the proxy has acknowledged it and its state is saved.

HAProxy reads the saved state at its start, so that a proxy that crashes comes back with the same colour live and in
the same hold mode.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent import files
from agent.protocol import Refusal, RefusedError

TIMEOUT_S = 10.0
PROBE_S = 5.0  # `timeout check` of haproxy.cfg
_BLOCK = 65536


class HAProxy:
    """One proxy: its socket, and the folder of its saved state."""

    def __init__(self, runtime: Path, state: Path) -> None:
        self._runtime, self._state = runtime, state

    def ask(self, commands: Sequence[str]) -> str:
        """Run commands on one connection; return their output.

        Raises:
            RefusedError: the proxy does not answer, or not to each command that shows something.
        """
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(str(self._runtime))
                connection.sendall(f"{';'.join(commands)}\n".encode())
                output = _all(connection)
        except OSError as error:
            raise RefusedError(
                Refusal.PROXY, f"the proxy's runtime socket does not answer: {error.strerror or error}"
            ) from None
        if not output.strip() and any(command.startswith(("show", "hold")) for command in commands):
            raise RefusedError(Refusal.PROXY, "the proxy's runtime socket sent an empty answer")
        return output

    def change(self, commands: Sequence[str]) -> str:
        """Run commands, then save server states and the hold mode; return the commands' output."""
        output = self.ask(commands)
        self.save()
        return output

    def save(self) -> None:
        """Save server states and the hold mode for the proxy's next start."""
        servers, _, hold = self.ask(["show servers state", "hold"]).rstrip("\n").rpartition("\n")
        if "srv_name" not in servers:
            raise RefusedError(Refusal.PROXY, "the proxy does not show its servers, so their state was not saved")
        files.replace(self._state / "servers", f"{servers.rstrip()}\n")
        files.replace(self._state / "hold", f"{hold.partition(' ')[0]}\n")


def probe(addresses: Sequence[str]) -> list[str]:
    """Send the health check's request to each HOST:PORT; return the first lines of the answers, "" for none."""
    with ThreadPoolExecutor(max(len(addresses), 1)) as pool:
        return list(pool.map(_probe, addresses))


def _probe(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_S) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            return connection.makefile("rb").readline().decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def _all(connection: socket.socket) -> str:
    blocks = []
    while block := connection.recv(_BLOCK):
        blocks.append(block)
    return b"".join(blocks).decode(errors="replace")
