"""The proxy's servers as the agent sees them: state in the proxy, and what the service answers to /readyz. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.protocol import Refusal, RefusedError

BACKEND = "app"
SHOW = (f"show servers state {BACKEND}", "hold")
MOST_REPLICAS = 4  # slots of a colour in compose.yaml and haproxy.cfg
WHOLE = 100  # weight of a server with its full share

_RUNNING = 2  # srv_op_state, see HAProxy's management guide, "show servers state"
_MAINT, _DRAIN = 0x01 | 0x02 | 0x20, 0x08 | 0x10  # srv_admin_state, same source


@dataclass(frozen=True)
class Answer:
    """Answer to /readyz.

    Attributes:
        phase: "" without an answer.
        epoch: the newest that the service knows; None if it does not answer or predates epochs.
    """

    phase: str = ""
    release: str = ""
    epoch: int | None = None


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        admin: ready, drain or maint.
        up: result of the proxy's health checks; meaningless in maint, where no checks run.
        answer: of its service; empty if it was not asked.
    """

    admin: str
    up: bool
    address: str = ""
    answer: Answer = Answer()

    @property
    def ready(self) -> bool:
        """Whether the service itself says that it is ready."""
        return self.answer.phase == "ready"

    @property
    def usable(self) -> bool:
        """Whether it would serve in rotation: by the proxy's checks, in maint by the service's answer."""
        return self.ready if self.admin == "maint" else self.up

    @property
    def healthy(self) -> bool:
        """Whether it is in rotation, and both the proxy and the service call it healthy."""
        return self.admin == "ready" and self.up and self.ready


Servers = Mapping[str, Server]


def parse(output: str) -> tuple[dict[str, Server], str]:
    """Read the output of SHOW: servers by name, and the gate's mode.

    Raises:
        RefusedError: the output is incomplete.
    """
    table, _, hold = output.rstrip("\n").rpartition("\n")
    lines = table.splitlines()
    head = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
    mode = hold.partition(" ")[0]
    if head is None or not mode:
        raise RefusedError(Refusal.PROXY, "the proxy does not show its servers and its hold mode")
    names = lines[head].removeprefix("# ").split()
    rows = (dict(zip(names, line.split(), strict=False)) for line in lines[head + 1 :] if line.strip())
    return {row["srv_name"]: _server(row) for row in rows}, mode


def _server(row: dict[str, str]) -> Server:
    flags = int(row["srv_admin_state"])
    admin = "maint" if flags & _MAINT else "drain" if flags & _DRAIN else "ready"
    return Server(admin, int(row["srv_op_state"]) == _RUNNING, f"{row['srv_addr']}:{row['srv_port']}")


def names(colour: str, replicas: int) -> tuple[str, ...]:
    """Return the servers of a colour's first slots."""
    return tuple(f"{colour}-{number}" for number in range(1, replicas + 1)) if colour else ()


def slots(names: Iterable[str]) -> tuple[str, ...]:
    """Return all slots' servers of the colours of some servers."""
    colours = dict.fromkeys(name.partition("-")[0] for name in names)
    return tuple(f"{colour}-{number}" for colour in colours for number in range(1, MOST_REPLICAS + 1))


def profile(server: str) -> str:
    """Return the slot's folder of flags and orders."""
    return server.removesuffix("-1")


def state(servers: Iterable[str], to: str) -> tuple[str, ...]:
    """Return the commands that set the state of servers."""
    return tuple(f"set server {BACKEND}/{name} state {to}" for name in servers)


def whole_weight(servers: Iterable[str]) -> tuple[str, ...]:
    """Return the commands that give servers their full weight."""
    return tuple(f"set server {BACKEND}/{name} weight {WHOLE}" for name in servers)
