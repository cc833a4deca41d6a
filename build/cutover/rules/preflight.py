"""Checks before a cutover touches anything: facts about target and image in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from build.errors import CommandFailedError, ImageNotFoundError
from build.host.findings import Finding, Level, version
from build.model.colours import Colour
from build.model.placement import StackAddress
from build.model.release import Release

SKEW_S = 2.0
ASK = "see `python -m build.cutover status`"


@dataclass(frozen=True)
class PreflightFacts:
    """Facts about one target and one release.

    Attributes:
        idle, live: the release's future colour, and the serving colour (None before the first release).
        image: whether the engine has the release's image.
        minimum_driver: the oldest NVIDIA driver that the image supports, from its label; empty without CUDA.
        drift: Debian packages of the image that differ from the lock, from its label.
        drift_accepted: whether the drift was accepted for production.
        driver: the target's NVIDIA driver; empty if there is none or it is unknown.
        servers: names of the proxy's servers.
        place: address, port and keys of the running proxy.
        published: the actual address of the proxy, such as 127.0.0.1:7860; empty if not published.
        keys: why the release cannot use the configured API keys; empty if it can or there are none.
        hold: mode of the proxy's gate.
        unfinished: requests in flight on the idle colour.
        live_usable: whether the proxy's health checks of the live colour pass.
        serving, recorded: the release in the live colour, and the journal's live release.
        compose_error: why compose.yaml with this .env is invalid; empty if valid.
        skew_s: how far the target's clock is ahead of this machine's.
    """

    release: Release
    idle: Colour
    live: Colour | None
    image: bool
    minimum_driver: str
    drift: str
    drift_accepted: bool
    driver: str
    servers: frozenset[str]
    place: StackAddress
    published: str
    keys: str
    hold: str
    unfinished: int
    live_usable: bool
    serving: Release | None
    recorded: Release | None
    compose_error: str
    skew_s: float


def evaluate(facts: PreflightFacts) -> list[Finding]:
    """Return all findings; a problem aborts the cutover, a warning does not."""
    return [*_image(facts), *_proxy(facts), *_clients(facts), *_colours(facts), *_surroundings(facts)]


def _image(facts: PreflightFacts) -> Iterator[Finding]:
    if not facts.image:
        said = f"the image of {facts.release} is not on the engine any more ({facts.release.image})"
        yield Finding("image", Level.PROBLEM, said, "pull it, or build it and name it", ImageNotFoundError)
    if facts.drift:
        accepted = "; accepted for production" if facts.drift_accepted else ""
        yield Finding(
            "drift", Level.WARNING, f"packages of the image differ from its apt lock{accepted}: {facts.drift}"
        )
    if facts.minimum_driver and not facts.driver:
        yield Finding("driver", Level.NOT_VERIFIED, f"the image needs driver {facts.minimum_driver}, and none is seen")
    elif version(facts.driver) < version(facts.minimum_driver):
        said = f"driver {facts.driver} is older than {facts.minimum_driver}, so the image's CUDA would find no GPU"
        yield Finding("driver", Level.PROBLEM, said, "update the host's driver, or release an image for this one")


def _proxy(facts: PreflightFacts) -> Iterator[Finding]:
    known = {name for colour in Colour for name in (*colour.servers, *colour.standbys)}
    if missing := sorted(known - facts.servers):
        said = f"the proxy knows no server {', '.join(missing)}"
        yield Finding("proxy", Level.PROBLEM, said, "`make down`, then `make up`")
    if not facts.published:
        said = "the proxy's port is not published, so no client could reach what goes live"
        yield Finding("port", Level.PROBLEM, said, "`make down`, then `make up`")
    elif facts.published != (meant := f"{facts.place.publish}:{facts.place.port}"):
        said = f"the proxy's port is published at {facts.published}, and the releases are told {meant}"
        yield Finding("port", Level.WARNING, said)
    if facts.hold != "none":
        said = f"the proxy holds requests ({facts.hold}), and no cutover is under way that would let them go"
        yield Finding("hold", Level.PROBLEM, said, "`docker exec` into the proxy: `proxyctl change 'hold none'`")


def _clients(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.keys:
        said = f"{facts.release} cannot use the API keys in {facts.place.keys_folder}: {facts.keys}"
        remedy = "put the file api-keys there, on the target, for all to read: `python -m service.keys new NAME` makes "
        yield Finding("keys", Level.PROBLEM, said, remedy + "a line of it; a release from before there were keys: none")


def _colours(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.unfinished:
        said = f"{facts.idle} still finishes {facts.unfinished} requests of an earlier cutover"
        yield Finding("idle", Level.PROBLEM, said, f"wait until none is in flight there; {ASK}")
    if facts.live and not facts.live_usable:
        said = f"{facts.live} is live but the proxy's checks fail on it; the candidate is its way out"
        yield Finding("live", Level.WARNING, said)
    if facts.serving and facts.serving != facts.recorded:
        said = f"{facts.serving} serves, and the journal knows of {facts.recorded or 'none'}: it came there another way"
        yield Finding("record", Level.WARNING, said)


def _surroundings(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.compose_error:
        said = f"compose.yaml with this .env is not valid: {facts.compose_error}"
        yield Finding("compose", Level.PROBLEM, said, "`docker compose config` says where", CommandFailedError)
    if abs(facts.skew_s) > SKEW_S:
        said = f"the target's clock is {facts.skew_s:+.0f} s from ours; the journal's times are the target's"
        yield Finding("clock", Level.WARNING, said)
