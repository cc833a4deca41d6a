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
SEE_STATUS = "see `python -m build.cutover status`"


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
        lost_runtime: the container runtime of the live colour, if the engine no longer has it; empty otherwise.
        compose_error: why compose.yaml with the current settings is invalid; empty if valid.
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
    lost_runtime: str
    compose_error: str
    skew_s: float


def evaluate(facts: PreflightFacts) -> list[Finding]:
    """Return all findings; a problem aborts the cutover, a warning does not."""
    return [*_image(facts), *_proxy(facts), *_clients(facts), *_colours(facts), *_surroundings(facts)]


def _image(facts: PreflightFacts) -> Iterator[Finding]:
    if not facts.image:
        message = f"the image of {facts.release} is missing on the engine ({facts.release.image})"
        yield Finding(
            "image", Level.PROBLEM, message, "pull it, or build it with `python -m build.images`", ImageNotFoundError
        )
    if facts.drift:
        accepted = "; accepted for production" if facts.drift_accepted else ""
        yield Finding(
            "drift", Level.WARNING, f"packages of the image differ from its apt lock{accepted}: {facts.drift}"
        )
    if facts.minimum_driver and not facts.driver:
        yield Finding(
            "driver", Level.NOT_VERIFIED, f"the image needs driver {facts.minimum_driver}, and no driver was found"
        )
    elif version(facts.driver) < version(facts.minimum_driver):
        message = f"driver {facts.driver} is older than {facts.minimum_driver}, so CUDA in the image would find no GPU"
        yield Finding(
            "driver", Level.PROBLEM, message, "update the host's driver, or release an image for the installed one"
        )


def _proxy(facts: PreflightFacts) -> Iterator[Finding]:
    known = {name for colour in Colour for name in (*colour.servers, *colour.standbys)}
    if missing := sorted(known - facts.servers):
        message = f"the running proxy lacks the servers {', '.join(missing)}"
        yield Finding("proxy", Level.PROBLEM, message, "`make down`, then `make up`")
    if not facts.published:
        message = "the proxy's port is not published, so no client can reach the release"
        yield Finding("port", Level.PROBLEM, message, "`make down`, then `make up`")
    elif facts.published != (configured := f"{facts.place.publish}:{facts.place.port}"):
        message = f"the proxy's port is published at {facts.published}, but its configuration says {configured}"
        yield Finding("port", Level.WARNING, message)
    if facts.hold != "none":
        message = f"the proxy holds requests (mode {facts.hold}), but no cutover is in progress that would release them"
        yield Finding(
            "hold", Level.PROBLEM, message, "release them: `docker compose exec agent proxyctl change 'hold none'`"
        )


def _clients(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.keys:
        message = f"{facts.release} cannot use the API keys in {facts.place.keys_folder}: {facts.keys}"
        remedy = (
            "create the file api-keys there, on the target, readable for all: `python -m service.keys new NAME` prints "
            "a line for it; a release without support for API keys cannot go live with keys_folder set"
        )
        yield Finding("keys", Level.PROBLEM, message, remedy)


def _colours(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.unfinished:
        message = f"{facts.idle} still has {facts.unfinished} requests of an earlier cutover"
        yield Finding("idle", Level.PROBLEM, message, f"wait until they have ended; {SEE_STATUS}")
    if facts.live and not facts.live_usable:
        message = f"{facts.live} is live, but its health checks fail; the switch to the candidate can fix it"
        yield Finding("live", Level.WARNING, message)
    if facts.serving and facts.serving != facts.recorded:
        recorded = facts.recorded or "no release"
        message = f"{facts.serving} is live, but the journal says {recorded}: it was started without a cutover"
        yield Finding("record", Level.WARNING, message)


def _surroundings(facts: PreflightFacts) -> Iterator[Finding]:
    if facts.compose_error:
        message = f"compose.yaml with the current settings is invalid: {facts.compose_error}"
        yield Finding("compose", Level.PROBLEM, message, "correct compose.yaml or the setting", CommandFailedError)
    if facts.lost_runtime:
        message = (
            f"the engine no longer has the container runtime {facts.lost_runtime}, with which {facts.live} runs: "
            "a candidate would start without a GPU"
        )
        yield Finding("runtime", Level.PROBLEM, message, "install it again and run `docker info` to see the runtimes")
    if abs(facts.skew_s) > SKEW_S:
        message = f"the target's clock is {facts.skew_s:+.0f} s from this machine's; the journal has the target's times"
        yield Finding("clock", Level.WARNING, message)
