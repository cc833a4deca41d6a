"""HAProxy's runtime commands, through the target's agent, which saves the proxy's state after each change."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from enum import IntFlag

from build.agent_client import AgentClient
from build.docker.engine import DockerEngine
from build.errors import ProxyError
from build.proxy import haproxy_log
from build.proxy.types import Admin, Hold, HoldMode, Request, Server

BACKEND = "app"
CLIENT = "192.0.2.1"  # an address of no machine (RFC 5737)

RUNNING = 2  # srv_op_state of a server that may get traffic (HAProxy management guide, "show servers state")


class _AdminFlag(IntFlag):
    """srv_admin_state, same source; 0x04 (disabled in the file) stays set after a server is made ready."""

    FORCED_MAINT = 0x01
    INHERITED_MAINT = 0x02
    FORCED_DRAIN = 0x08
    INHERITED_DRAIN = 0x10
    RESOLUTION_MAINT = 0x20

    @property
    def admin(self) -> Admin:
        if self & (self.FORCED_MAINT | self.INHERITED_MAINT | self.RESOLUTION_MAINT):
            return "maint"
        return "drain" if self & (self.FORCED_DRAIN | self.INHERITED_DRAIN) else "ready"


class HAProxy:
    """HAProxy as a build.proxy.types.Proxy."""

    def __init__(self, engine: DockerEngine, container: str, agent: AgentClient) -> None:
        """`container` is the proxy's, for its log and for requests from its address."""
        self._engine = engine
        self._container = container
        self._agent = agent

    def _read(self, *commands: str) -> str:
        return str(self._agent.ask("proxy show", commands=commands)["output"])

    def _run(self, *commands: str) -> str:
        """Run repeatable commands, in one line and so without a request between them, and save the state."""
        return str(self._agent.change("proxy change", commands=commands)["output"])

    def servers(self) -> dict[str, Server]:
        """Return all servers of the backend by name."""
        lines = self._read(f"show servers state {BACKEND}", f"show stat {BACKEND} 4 -1").splitlines()
        states = {row["srv_name"]: row for row in _table(lines, "# be_id", " ")}
        return {
            row["svname"]: _server(states[row["svname"]], row)
            for row in _table(lines, "# pxname", ",")
            if row["svname"] in states
        }

    def set_admin(self, server: str, admin: Admin) -> None:
        """Set and save a server's state."""
        self.set_admins((server, admin))

    def set_admins(self, *changes: tuple[str, Admin | int]) -> None:
        """Set states or, for numbers, weights of servers in this order, in one command with one save."""
        self._change(
            *(
                f"set server {BACKEND}/{server} {'weight' if isinstance(to, int) else 'state'} {to}"
                for server, to in changes
            )
        )

    def probe(self, *servers: Server) -> bool:
        """Send a health check's request to each server from the agent, now; a hanging server times out after 5 s."""
        lines: list[str] = self._agent.ask("proxy probe", addresses=[server.address for server in servers])["lines"]
        return sum(line.startswith("HTTP/") and line.split()[1:2] == ["200"] for line in lines) == len(servers)

    def status_for_client(self, server: Server, text: str, voice: str, timeout_s: float) -> int:
        """Request a synthesis from a server as a client without an API key; return the status, 0 without an answer.

        The request comes from the proxy's address, so keys and limits apply to the client that it forwards.
        """
        body = json.dumps({"model": "tts-1", "input": text, "voice": voice, "response_format": "wav"})
        request = (
            f"POST /v1/audio/speech HTTP/1.1\r\nHost: {server.address}\r\nConnection: close\r\n"
            f"X-Forwarded-For: {CLIENT}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        # Keep the sending half open: the service drops a request whose client has left.
        script = 'printf %s "$1" | socat -t "$3" - "TCP:$2,connect-timeout=5,shut-none" | sed -n 1p'
        argv = ["timeout", str(timeout_s), "sh", "-c", script, "sh", request, server.address, str(timeout_s)]
        words = self._engine.execute(self._container, argv).text.split()
        return int(words[1]) if words[:1] == ["HTTP/1.1"] and words[1:2] and words[1].isdigit() else 0

    def demand_check(self, *servers: str) -> None:
        """Mark servers down until a health check passes; they get no new requests meanwhile.

        HAProxy takes a server that leaves maint for up, and shows an outdated check result.
        """
        changes = [(server, change) for server in servers for change in ("state drain", "health down")]
        self._change(*(f"set server {BACKEND}/{server} {change}" for server, change in changes))

    def shutdown_sessions(self, *servers: str) -> None:
        """Close the remaining connections of servers: event streams of browser tabs by then."""
        self._change(*(f"shutdown sessions server {BACKEND}/{server}" for server in servers))

    def hold(self, mode: HoldMode) -> Hold:
        """Set the mode of the gate."""
        return _hold(self._run(f"hold {mode}"))

    def release(self, *servers: str) -> Hold:
        """Make servers ready and open the gate in one command; the held requests go to these servers."""
        answer = self._run(*(f"set server {BACKEND}/{server} state ready" for server in servers), "hold none")
        refusal = answer.strip().rpartition("\n")[0].strip()
        if refusal:
            raise ProxyError(
                f"the proxy refused to make {', '.join(servers)} ready: {refusal}",
                remedy=f"see `docker logs {self._container}`",
            )
        return _hold(answer)

    def held(self) -> Hold:
        """Return the gate's mode and the number of held requests."""
        return _hold(self._read("hold"))

    def requests(self, since: float, until: float) -> list[Request]:
        """Return the requests that ended between two times (seconds since 1970), from the proxy's log."""
        container = self._engine.container(self._container)
        if container is None:
            raise ProxyError(f"the proxy's log cannot be read: {self._container} does not exist")
        return haproxy_log.read(self._engine.log_between(container, since, until))

    def _change(self, *commands: str) -> None:
        # HAProxy answers a state change with an empty line; any text is an error.
        answer = self._run(*commands).strip()
        if answer:
            raise ProxyError(f"the proxy refused `{'; '.join(commands)}`: {answer}")


def _table(lines: list[str], head: str, separator: str) -> Iterator[dict[str, str]]:
    """Parse one table of several: from the line that starts with `head` to the next empty line."""
    start = next((number for number, line in enumerate(lines) if line.startswith(head)), None)
    if start is None:
        raise ProxyError(f"the proxy's answer has no table {head!r}")
    end = next((number for number in range(start, len(lines)) if not lines[number].strip()), len(lines))
    body = [lines[start].removeprefix("# "), *lines[start + 1 : end]]
    return iter(csv.DictReader(body, delimiter=separator))


def _server(state: dict[str, str], stat: dict[str, str]) -> Server:
    return Server(
        admin=_AdminFlag(int(state["srv_admin_state"])).admin,
        up=int(state["srv_op_state"]) == RUNNING,
        check=stat["check_status"].removeprefix("* "),
        sessions=int(stat["scur"] or 0),
        queued=int(stat["qcur"] or 0),
        rate=int(stat["rate"] or 0),
        total=int(stat["stot"] or 0),
        errors=sum(int(stat[name] or 0) for name in ("econ", "eresp", "hrsp_5xx")),
        weight=int(state["srv_uweight"]),
        failed_checks=int(stat["chkfail"] or 0),
        checking=stat["check_status"].startswith("* "),
        address=f"{state['srv_addr']}:{state['srv_port']}",
    )


def _hold(answer: str) -> Hold:
    mode, _, held = answer.strip().rpartition("\n")[2].partition(" ")
    if not held.isdigit():
        raise ProxyError(f"the proxy's hold gate refused the command: {answer.strip()}")
    return Hold(mode, int(held))
