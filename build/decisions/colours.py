"""Which colour is live and which is idle, from what the proxy and Docker say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from build.decisions.history import Release
from build.errors import ProxyError


class Colour(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

    @property
    def server(self) -> str:
        """Its (first) server in the proxy."""
        return f"{self.value}-1"

    @property
    def standby(self) -> str:
        """The same once more, which takes over when nothing else is up."""
        return f"{self.value}-1-standby"

    @property
    def host(self) -> int:
        """The last octet of its address (compose.yaml)."""
        return 11 if self is Colour.BLUE else 21

    @property
    def service(self) -> str:
        """Its service in compose.yaml."""
        return f"app-{self.value}"


@dataclass(frozen=True)
class ColourFacts:
    """One colour as found.

    Attributes:
        release: what its container runs; None without a container.
        container: Docker's word for the container's state, or "absent".
        admin: the proxy's administrative state of its server: ready, drain or maint.
        usable: the proxy would send requests there now.
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
