"""An in-memory proxy that records its calls, and one whose calls a test intercepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from build.errors import OrchestratorError
from build.proxy.types import Hold, Request, Server


@dataclass
class Proxy:
    calls: list[str]
    reachable: bool = True
    hung: str = ""
    broken: OrchestratorError | None = None
    servers_now: dict[str, Server] = field(default_factory=dict)
    mode: str = "none"
    status: int = 200  # for a client without a key
    asked: list[str] = field(default_factory=list)
    in_use: tuple[str, ...] = ("blue-1", "green-1")
    requests: Callable[[float, float], list[Request]] = lambda *_between: []
    healthy: Callable[[str], bool] = lambda _server: True

    def servers(self) -> dict[str, Server]:
        return dict(self.servers_now)

    def set_admin(self, server: str, admin: Any) -> None:
        self.set_admins((server, admin))

    def set_admins(self, *changes: tuple[str, Any]) -> None:
        """Record changes; a weight, or a state of a server that is not in use, only if it differs."""
        if self.broken:
            raise self.broken
        for server, to in changes:
            now = self.servers_now[server]
            # As in HAProxy: no checks run in maint, and a server that leaves it counts as up.
            up = to != "maint" and (now.up or now.admin == "maint")
            then = replace(now, weight=to) if isinstance(to, int) else replace(now, admin=to, up=up)
            if then != now or (server in self.in_use and not isinstance(to, int)):
                self.calls.append(f"{server} {to}{'%' if isinstance(to, int) else ''}")
            self.servers_now[server] = then

    def status_for_client(self, server: Server, text: str, voice: str, timeout_s: float) -> int:  # noqa: ARG002
        self.asked.append(server.address)
        return self.status

    def demand_check(self, *servers: str) -> None:
        self.calls += [f"{server} check" for server in servers]
        for server in servers:
            up = self.reachable and self.healthy(server)
            self.servers_now[server] = replace(self.servers_now[server], admin="drain", up=up)

    def probe(self, *servers: Server) -> bool:
        self.calls += [f"{server.address} probed" for server in servers]
        addresses = {server.address for server in servers}
        return self.hung not in addresses and all(map(self.healthy, addresses))

    def shutdown_sessions(self, *servers: str) -> None:
        """Record the servers that are in use."""
        self.calls += [f"{server} shutdown" for server in servers if server in self.in_use]

    def hold(self, mode: Any) -> Hold:
        self.calls.append(f"gate {mode}")
        self.mode = mode
        return self.held()

    def held(self) -> Hold:
        return Hold(self.mode, 3)

    def release(self, *servers: str) -> Hold:
        self.set_admins(*((server, "ready") for server in servers))
        return self.hold("none")


class PatchedProxy:
    """A proxy in memory that calls `before` with the name of each call; the call fails if that raises."""

    def __init__(self, proxy: Proxy | PatchedProxy, before: Callable[[str], None]) -> None:
        self._proxy = proxy
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._proxy, name)
        if not callable(found):
            return found

        def call(*args: Any) -> Any:
            self._before(name)
            return found(*args)

        return call
