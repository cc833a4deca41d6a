"""The interface between a cutover and a proxy, independent of the proxy's software."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, Protocol

Admin = Literal["ready", "drain", "maint"]
HoldMode = Literal["none", "long", "all"]


@dataclass(frozen=True)
class Server:
    """One server as the proxy sees it.

    Attributes:
        up: result of the health checks; meaningless in maint, where no checks run.
        check: result of the last health check, such as L7OK; "" before the first one.
        sessions: streams in progress; queued: requests waiting for it; rate: new streams in the last second.
        total: streams since the proxy started; errors: those that failed to connect, got no complete answer, or a 5xx.
        weight: its share relative to the other servers' weights; failed_checks: since the proxy started.
        checking: a health check is pending; a healthy server takes milliseconds, a hanging one `timeout check`.
        address: HOST:PORT.
    """

    admin: Admin
    up: bool
    check: str
    sessions: int
    queued: int
    rate: int
    total: int
    errors: int
    weight: int = 100
    failed_checks: int = 0
    checking: bool = False
    address: str = ""

    @property
    def healthy(self) -> bool:
        return self.up and self.check.startswith("L7OK")

    @property
    def usable(self) -> bool:
        return self.admin == "ready" and self.up


@dataclass(frozen=True)
class Hold:
    mode: str
    held: int


@dataclass(frozen=True)
class Request:
    """One request: end (Unix time), server ("" for none), total seconds, HTTP status.

    `served_s`: the seconds without the wait in the proxy. `api`: an API request, which the proxy gives to any server.
    `speech`: a request for a synthesis. `client`: the client's address.
    """

    ended: float
    server: str
    took_s: float
    status: int
    failed: bool
    served_s: float = 0.0
    api: bool = False
    speech: bool = False
    client: str = ""

    @property
    def synthesized(self) -> bool:
        return self.speech and self.status == HTTPStatus.OK and not self.failed


class Proxy(Protocol):
    """A cutover's operations on a proxy. Every call that gets no answer raises ProxyError."""

    def servers(self) -> dict[str, Server]:
        """Return all servers by name."""

    def set_admin(self, server: str, admin: Admin) -> None:
        """Set and save a server's state."""

    def set_admins(self, *changes: tuple[str, Admin | int]) -> None:
        """Set states or, for numbers, weights of servers in this order, in one command with one save."""

    def probe(self, *servers: Server) -> bool:
        """Return whether each server passes a health check now."""

    def status_for_client(self, server: Server, text: str, voice: str, timeout_s: float) -> int:
        """Request a synthesis from a server as a client without an API key; return the status, 0 without an answer."""

    def demand_check(self, *servers: str) -> None:
        """Mark servers down until a health check passes; they get no new requests meanwhile."""

    def shutdown_sessions(self, *servers: str) -> None:
        """Close the remaining connections of servers."""

    def hold(self, mode: HoldMode) -> Hold:
        """Set the mode of the gate."""

    def release(self, *servers: str) -> Hold:
        """Make servers ready and open the gate in one command."""

    def held(self) -> Hold:
        """Return the gate's mode and the number of held requests."""

    def requests(self, since: float, until: float) -> list[Request]:
        """Return the requests that ended between two times (seconds since 1970), from the proxy's log."""
