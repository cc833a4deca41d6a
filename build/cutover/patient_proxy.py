"""A proxy whose short failures a cutover sits out, since traffic is at stake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from build.errors import ProxyError
from build.proxy.types import Admin, Hold, HoldMode, Proxy, Request, Server
from build.target.types import Clock

# A restart of the proxy takes a few seconds, and a hold can wait that long. The agent's client retries after failures
# of the connection to the target.
PATIENCE_S = 10.0
RETRY_S = 0.5

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class PatientProxy:
    """Retries each call for PATIENCE_S: all set a state or read one, so that a repetition changes nothing."""

    proxy: Proxy
    clock: Clock

    def servers(self) -> dict[str, Server]:
        """Return all servers by name."""
        return self._retry(self.proxy.servers)

    def set_admin(self, server: str, admin: Admin) -> None:
        """Set and save a server's state."""
        self.set_admins((server, admin))

    def set_admins(self, *changes: tuple[str, Admin | int]) -> None:
        """Set states or, for numbers, weights of servers in this order, in one command with one save."""
        self._retry(lambda: self.proxy.set_admins(*changes))

    def probe(self, *servers: Server) -> bool:
        """Return whether each server passes a health check now."""
        return self._retry(lambda: self.proxy.probe(*servers))

    def status_for_client(self, server: Server, text: str, voice: str, timeout_s: float) -> int:
        """Request a synthesis from a server as a client without an API key; return the status, 0 without an answer."""
        return self._retry(lambda: self.proxy.status_for_client(server, text, voice, timeout_s))

    def demand_check(self, *servers: str) -> None:
        """Mark servers down until a health check passes; they get no new requests meanwhile."""
        self._retry(lambda: self.proxy.demand_check(*servers))

    def shutdown_sessions(self, *servers: str) -> None:
        """Close the remaining connections of servers."""
        self._retry(lambda: self.proxy.shutdown_sessions(*servers))

    def hold(self, mode: HoldMode) -> Hold:
        """Set the mode of the gate."""
        return self._retry(lambda: self.proxy.hold(mode))

    def release(self, *servers: str) -> Hold:
        """Make servers ready and open the gate in one command."""
        return self._retry(lambda: self.proxy.release(*servers))

    def held(self) -> Hold:
        """Return the gate's mode and the number of held requests."""
        return self._retry(self.proxy.held)

    def requests(self, since: float, until: float) -> list[Request]:
        """Return the requests that ended between two times; only measurements read them, which tolerate a failure."""
        return self.proxy.requests(since, until)

    def _retry(self, call: Callable[[], Answer]) -> Answer:
        began = self.clock.now()
        for now in self.clock.polls(RETRY_S):
            try:
                return call()
            except ProxyError:
                if now - began >= PATIENCE_S:
                    raise
        raise AssertionError("a clock never ends")
