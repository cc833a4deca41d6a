"""Which colour is live and which is idle, from what the proxy and Docker say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from build.errors import ProxyError
from build.model.release import Release

MOST_REPLICAS = 4  # places of a colour in compose.yaml and proxy/haproxy.cfg


@dataclass(frozen=True)
class Slot:
    """One place for a container of a colour; `number` counts from 1."""

    colour: str
    number: int

    @property
    def server(self) -> str:
        """Its server in the proxy."""
        return f"{self.colour}-{self.number}"

    @property
    def standby(self) -> str:
        """The same once more, which takes over when nothing else is up."""
        return f"{self.server}-standby"

    @property
    def profile(self) -> str:
        """Its profile in compose.yaml, and the folder of its orders."""
        return self.colour if self.number == 1 else self.server

    @property
    def service(self) -> str:
        """Its service in compose.yaml."""
        return f"app-{self.profile}"

    @property
    def host(self) -> int:
        """The last octet of its address."""
        return (10 if self.colour == Colour.BLUE else 20) + self.number


class Colour(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All its places, whether or not a container is in them."""
        return tuple(Slot(self.value, number) for number in range(1, MOST_REPLICAS + 1))

    @property
    def profiles(self) -> tuple[str, ...]:
        """Those of all its places; orders lie under the same names."""
        return tuple(slot.profile for slot in self.slots)

    @property
    def servers(self) -> tuple[str, ...]:
        """All its servers in the proxy."""
        return tuple(slot.server for slot in self.slots)

    @property
    def standbys(self) -> tuple[str, ...]:
        """The same once more, as backups."""
        return tuple(slot.standby for slot in self.slots)


@dataclass(frozen=True)
class ColourFacts:
    """One colour as found, all of its containers together.

    Attributes:
        release: what its containers run; None without one.
        container: Docker's word for their state (that of the worst), or "absent".
        admin: the proxy's administrative state of its servers: ready, drain or maint.
        usable: the proxy would send requests to at least one of them now.
        replicas: how many there are.
        rate: requests a second that the proxy gave it over the last second.
        sessions: streams it has now.
        phase: the service's own word; empty when it does not answer.
    """

    release: Release | None
    container: str
    admin: str
    usable: bool
    rate: int = 0
    sessions: int = 0
    phase: str = ""
    replicas: int = 1


Stack = dict[Colour, ColourFacts]


def live(stack: Stack) -> Colour | None:
    """The colour that new requests go to: ready in the proxy, with a container, even one that crashes just now.

    None before the first release.

    Raises:
        ProxyError: both are in rotation, as a cutover leaves them that was killed between two commands.
    """
    in_rotation = [colour for colour, facts in stack.items() if facts.admin == "ready" and facts.container != "absent"]
    if len(in_rotation) > 1:
        raise ProxyError(
            "both colours are in rotation, and the journal tells of no cutover that left them so",
            remedy="take one out: `docker exec` into the proxy, `proxyctl change 'set server app/green-1 state maint'`",
        )
    return in_rotation[0] if in_rotation else None


def shares(stack: Stack) -> dict[Colour, float | None]:
    """Observed share of the last second's requests, 0 to 1; None for each when there were none."""
    total = sum(facts.rate for facts in stack.values())
    return {colour: facts.rate / total if total else None for colour, facts in stack.items()}
