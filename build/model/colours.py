"""Colours and their container slots, and which colour is live according to the proxy and Docker. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from build.errors import ProxyError
from build.model.release import Release

MOST_REPLICAS = 4  # slots of a colour in compose.yaml and proxy/haproxy.cfg


@dataclass(frozen=True)
class Slot:
    """One slot for a container of a colour; `number` starts at 1."""

    colour: str
    number: int

    @property
    def server(self) -> str:
        """The slot's server in the proxy."""
        return f"{self.colour}-{self.number}"

    @property
    def standby(self) -> str:
        """The slot's backup server in the proxy, used when no other server is up."""
        return f"{self.server}-standby"

    @property
    def profile(self) -> str:
        """The slot's profile in compose.yaml, and the name of its folder in build.target.start_flags."""
        return self.colour if self.number == 1 else self.server

    @property
    def service(self) -> str:
        """The slot's service in compose.yaml."""
        return f"app-{self.profile}"

    @property
    def host(self) -> int:
        """The last octet of the slot's IP address."""
        return (10 if self.colour == Colour.BLUE else 20) + self.number


class Colour(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slots of the colour, with or without a container."""
        return tuple(Slot(self.value, number) for number in range(1, MOST_REPLICAS + 1))

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of all slots; the folders of start orders have the same names."""
        return tuple(slot.profile for slot in self.slots)

    @property
    def servers(self) -> tuple[str, ...]:
        """All servers of the colour in the proxy."""
        return tuple(slot.server for slot in self.slots)

    @property
    def standbys(self) -> tuple[str, ...]:
        """All backup servers of the colour in the proxy."""
        return tuple(slot.standby for slot in self.slots)


@dataclass(frozen=True)
class ColourFacts:
    """Observed state of one colour, with all of its containers together.

    Attributes:
        release: the release that its containers run; None without containers.
        container: Docker's state of the containers (the worst one), or "absent".
        admin: administrative state of its servers in the proxy: ready, drain or maint.
        usable: the proxy can send requests to at least one of its servers.
        standby: at least one of its backup servers is ready and up: it serves while no colour is usable.
        replicas: number of containers.
        rate: requests per second that the proxy sent to it in the last second.
        sessions: current number of streams.
        phase: phase reported by the service; empty if it does not answer.
    """

    release: Release | None
    container: str
    admin: str
    usable: bool
    rate: int = 0
    sessions: int = 0
    phase: str = ""
    replicas: int = 1
    standby: bool = False


Stack = dict[Colour, ColourFacts]


def live(stack: Stack) -> Colour | None:
    """The live colour: ready in the proxy and with a container, even if that is crashing.

    A colour whose backup servers get all requests is live before one whose servers are down. None before the first
    release.

    Raises:
        ProxyError: both colours are in rotation, which happens if a cutover is killed between two proxy commands.
    """
    in_rotation = [colour for colour, facts in stack.items() if facts.admin == "ready" and facts.container != "absent"]
    if len(in_rotation) > 1:
        raise ProxyError(
            "both colours are in rotation, and no cutover is in progress, so the live release is unknown",
            remedy="take one out of rotation: `docker compose exec agent "
            "proxyctl change 'set server app/green-1 state maint'`",
        )
    backup = serving_as_backup(stack)
    return backup or (in_rotation[0] if in_rotation else None)


def serving_as_backup(stack: Stack) -> Colour | None:
    """Return the colour whose backup servers get all requests, since no regular server is up; None if there is none."""
    if any(facts.usable for facts in stack.values()):
        return None
    backups = [colour for colour, facts in stack.items() if facts.standby and facts.container != "absent"]
    return backups[0] if len(backups) == 1 else None


def shares(stack: Stack) -> dict[Colour, float | None]:
    """Each colour's share (0 to 1) of the last second's requests; None for each if there were none."""
    total = sum(facts.rate for facts in stack.values())
    return {colour: facts.rate / total if total else None for colour, facts in stack.items()}
