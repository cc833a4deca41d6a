"""The watch: what to do when the live release is sick outside cutovers. Pure.

The watch moves traffic once. After that an operator must act: if the standby fails too, the cause lies elsewhere, and a
second move would only hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent import servers as proxy
from agent.cutovers import Cutover, other
from agent.dead_man import Decision, Did, serve_commands
from agent.servers import Servers

MOST_FAILURES = 3  # in a row
ALERT_EVERY = 12  # failures; a minute of looks


@dataclass(frozen=True)
class Watch:
    """What earlier looks found: how often in a row the live release was sick."""

    failures: int = 0

    def after(self, *, healthy: bool) -> Watch:
        """Return the watch after one more look."""
        return Watch() if healthy else Watch(self.failures + 1)

    @property
    def sick(self) -> bool:
        return self.failures >= MOST_FAILURES

    @property
    def alert_due(self) -> bool:
        """Whether to send the alert, or to send it again before its receiver takes it for resolved."""
        return self.sick and (self.failures - MOST_FAILURES) % ALERT_EVERY == 0


def live(servers: Servers) -> str:
    """Return the colour in rotation; "" if there is none or both are."""
    colours = {name.partition("-")[0] for name in in_rotation(servers)}
    return colours.pop() if len(colours) == 1 else ""


def in_rotation(servers: Servers) -> tuple[str, ...]:
    """Return the servers that get traffic."""
    return tuple(name for name, server in servers.items() if server.admin == "ready" and not name.endswith("-standby"))


def healthy(servers: Servers) -> bool:
    """Return whether clients are served; one healthy container is enough, since the proxy passes the sick ones over."""
    return any(servers[name].healthy for name in in_rotation(servers))


def trouble(servers: Servers) -> str:
    """Return what is wrong when clients are not served."""
    if not in_rotation(servers):
        return "no colour is in rotation, so no request is served"
    colour = live(servers)
    return f"{colour} is live and sick, and no standby can serve" if colour else "both colours are live and sick"


def to_standby(served: Cutover | None, servers: Servers, standbys: tuple[str, ...], *, moved: bool) -> Decision | None:
    """Return the move to the standby; None if there is none that is known to be good and loaded, or it was made before.

    Args:
        served: the cutover that made the live release live; its predecessor is what may stand by.
        standbys: servers of the other colour, with their services' answers.
        moved: whether the watch has moved traffic since the newest cutover began.
    """
    colour = live(servers)
    if moved or served is None or not served.previous or served.colour != colour:
        return None
    loaded = [servers[name] for name in standbys if name in servers and name.startswith(other(colour))]
    if not loaded or any(
        server.admin != "maint" or not server.ready or server.answer.release != served.previous for server in loaded
    ):
        return None
    out = proxy.state(in_rotation(servers), "maint")
    return Decision(Did.STANDBY, (*serve_commands(standbys), *out), "", "rolled-back", "the live release was sick")
