"""What the cutover says to a proxy and hears from it; of no particular proxy's words."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Admin = Literal["ready", "drain", "maint"]
HoldMode = Literal["none", "long", "all"]


@dataclass(frozen=True)
class Server:
    """One server as the proxy sees it.

    Attributes:
        up: by its health check; meaningless in maint, where checks rest.
        check: result of the newest health check, such as L7OK; empty before the first one.
        sessions: streams in progress; queued: requests waiting for it; rate: streams given to it in the last second.
        total: streams since the proxy started; errors: those that failed to connect, got no whole answer, or a 5xx.
        weight: its share beside the other servers' weights; failed_checks: health checks since the proxy started.
        checking: a health check is under way: of who answers they take milliseconds, of who hangs `timeout check`.
        address: where it listens, as HOST:PORT.
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


class Proxy(Protocol):
    """What a cutover needs of a proxy. Every call that cannot be answered raises ProxyError."""

    def opened(self) -> AbstractContextManager[None]:
        """For the block, a command is as cheap as the proxy allows."""

    def servers(self) -> dict[str, Server]:
        """Every server, by name."""

    def set_admin(self, server: str, admin: Admin) -> None:
        """Puts a server into or out of rotation, and saves that."""

    def set_admins(self, *changes: tuple[str, Admin | int]) -> None:
        """The same for several, in that order, nothing in between and one save at the end; a number is a weight."""

    def probe(self, *servers: Server) -> bool:
        """True when each server passes a health check now."""

    def demand_check(self, *servers: str) -> None:
        """Takes servers for down until a health check has really passed; they get no new request meanwhile."""

    def shutdown_sessions(self, *servers: str) -> None:
        """Closes what is still open on servers."""

    def hold(self, mode: HoldMode) -> Hold:
        """Sets the gate."""

    def release(self, *servers: str) -> Hold:
        """Makes servers ready and opens the gate, with nothing in between."""

    def held(self) -> Hold:
        """The gate, and how many requests wait at it."""
