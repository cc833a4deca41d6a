"""Everything a cutover touches on one target, gathered: drivers by name, and the facts that procedures begin with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from build.docker.compose import Compose
from build.docker.engine import Engine
from build.errors import CommandFailedError, ProxyError, StateCorruptError
from build.model import colours as pure
from build.model import dotenv
from build.model.colours import Colour, ColourFacts, Stack
from build.model.labels import PROXY_REPOSITORY
from build.model.placement import Place
from build.model.states import CANARY
from build.proxy.haproxy import HAProxy
from build.proxy.types import Proxy, Server
from build.settings import Settings
from build.state import history
from build.state.history import Cutover
from build.state.journal import Journal
from build.state.lease import Lease
from build.target.colour_containers import ColourContainers
from build.target.start_orders import Orders

HOLD_BUDGET_S = 60.0  # the default of proxy/hold.lua
ABSENT = Server(admin="maint", up=False, check="", sessions=0, queued=0, rate=0, total=0, errors=0)


@dataclass(frozen=True)
class Clock:
    """Time as procedures see it; tests bring their own."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        return time.monotonic()

    def polls(self, every_s: float = 0.5) -> Iterator[float]:
        """Endless looks at the clock, `every_s` seconds apart, the first at once.

        A look into a container costs about 0.2 s of CPU, which live traffic lacks: hence the default.
        """
        while True:
            yield self.now()
            time.sleep(every_s)


class Target:
    """The stack of one project on one engine."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.clock = Clock()
        self.engine = engine or Engine()
        self.compose = Compose(settings.root)
        self.proxy: Proxy = HAProxy(self.engine, settings.container("proxy"))
        self.journal = Journal(self.engine, settings.container("state"))
        self.orders = Orders(self.engine, settings.container("state"))
        self.lease = Lease(self.engine, settings.project)
        self.colours = {colour: ColourContainers(self.engine, settings.project, colour) for colour in Colour}

    @cached_property
    def proxy_image(self) -> str:
        """What the proxy runs; while there is none, what .env names for it, or the newest one built."""
        container = self.engine.container(self.settings.container("proxy"))
        if container is not None:
            image: str = container.attrs["Config"]["Image"]
            return image
        stored = self._stored().get("PROXY_IMAGE", "")
        if stored and self.engine.image(stored):
            return stored
        built = self.engine.images(PROXY_REPOSITORY)
        return str(built[0].tags[0]) if built else ""

    @property
    def place(self) -> Place:
        """That of the proxy that is there; that of the settings while there is none."""
        container = self.engine.container(self.settings.container("proxy"))
        if container is None:
            return self.settings.place
        published = next(iter(container.attrs["HostConfig"]["PortBindings"].values()))[0]["HostPort"]
        environment = dict(item.partition("=")[::2] for item in container.attrs["Config"]["Env"])
        return Place.of(int(published), environment, container.labels)

    @property
    def inside(self) -> str:
        """The proxy's address (HOST:PORT) inside the stack's network."""
        return f"{self.place.subnet_prefix}.2:8080"

    @property
    def addresses(self) -> frozenset[str]:
        """The colours' addresses inside the stack's network."""
        prefix = self.place.subnet_prefix
        return frozenset(f"{prefix}.{slot.host}" for colour in Colour for slot in colour.slots)

    def published(self) -> str:
        """Where the proxy can be reached now, such as 127.0.0.1:7860; empty when nowhere."""
        container = self.engine.container(self.settings.container("proxy"))
        bindings = container.attrs["NetworkSettings"]["Ports"].values() if container else ()
        return next((f"{each['HostIp']}:{each['HostPort']}" for found in bindings if found for each in found), "")

    @property
    def hold_budget_s(self) -> float:
        """How long the proxy's gate keeps a request (HOLD_BUDGET_S of proxy/hold.lua)."""
        container = self.engine.container(self.settings.container("proxy"))
        given = dict(item.partition("=")[::2] for item in container.attrs["Config"]["Env"]) if container else {}
        return float(given.get("HOLD_BUDGET_S", HOLD_BUDGET_S))

    def running(self, service: str) -> bool:
        container = self.engine.container(self.settings.container(service))
        return container is not None and container.status == "running"

    def survey(self, *, ask_service: bool = False) -> Stack:
        """Both colours as Docker and the proxy see them; `ask_service` also has each service say its phase."""
        servers = self.proxy.servers() if self.running("proxy") else {}
        return {colour: self._facts(container, servers, ask_service) for colour, container in self.colours.items()}

    def _facts(self, colour: ColourContainers, servers: dict[str, Server], ask_service: bool) -> ColourFacts:
        replicas = colour.replicas
        names = [each.slot.server for each in replicas] or list(colour.colour.servers[:1])
        its = [servers.get(name, ABSENT) for name in names]
        return ColourFacts(
            release=colour.release(),
            container=colour.state,
            # One that was taken out by hand does not make the others idle.
            admin=next((each.admin for each in its if each.admin != "maint"), "maint"),
            usable=any(each.usable for each in its),
            rate=sum(each.rate for each in its),
            sessions=sum(each.sessions for each in its),
            phase=colour.status().phase if ask_service and colour.state == "running" else "",
            replicas=len(replicas),
        )

    def records(self) -> list[dict[str, Any]]:
        """What the target's journal holds; nothing while its state container does not run."""
        return self.journal.read() if self.running("state") else []

    def history(self, records: list[dict[str, Any]] | None = None) -> list[Cutover]:
        """The cutovers that the target's journal tells of; `records` when they have been read already."""
        try:
            return history.read(self.records() if records is None else records)
        except (ValueError, KeyError) as error:
            raise StateCorruptError(f"the journal on the target makes no sense: {error}") from None

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        """Rewrites .env from what runs. `planned` (blue=..., green=...) names an image that is about to run.

        A colour without a container keeps what .env had, so that `up` after `down` starts what was live.
        """
        stored = self._stored()
        images = {}
        for colour, container in self.colours.items():
            release = container.release()
            kept = stored.get(f"{colour.name}_IMAGE", "")
            images[colour] = planned.get(colour.value) or (release.image if release else kept)
        stayed = stored.get("COMPOSE_PROFILES", "").split(",")
        self.compose.write_env(
            dotenv.render(
                dotenv.derive(
                    project=self.settings.project,
                    place=self.place,
                    proxy_image=self.proxy_image,
                    images=images,
                    runtime=self.engine.gpu_runtime if self.settings.flavour == "cuda" else "",
                    speech=self.settings.speech,
                    profiles=self._profiles(live) if live else [each for each in stayed if each],
                )
            )
        )

    def _profiles(self, live: Colour) -> list[str]:
        """Those of the colour's containers; while there is none, that of its first."""
        return [each.slot.profile for each in self.colours[live].replicas] or [live.slots[0].profile]

    @property
    def noted(self) -> Colour | None:
        """The live colour by .env: known at once, and out of date where another clone has moved the traffic."""
        profiles = self._stored().get("COMPOSE_PROFILES", "").split(",")
        return next((colour for colour in Colour if not set(profiles).isdisjoint(colour.profiles)), None)

    def _stored(self) -> dict[str, str]:
        path = self.compose.env_file
        return dotenv.parse(path.read_text()) if path.exists() else {}

    def adopt(self, image: str, proxy_image: str) -> None:
        """Names fresh images for the first `up` of a clone whose target runs nothing yet; else refreshes .env as ever.

        While a cutover is under way, .env is its business.
        """
        if self.lease.holder():
            return
        if self.engine.container(self.settings.container("proxy")) is None:
            self.proxy_image = proxy_image
        stack = self.survey()
        live = self.live_or_none(stack)
        first = live is None and not self._stored().get("COMPOSE_PROFILES")
        self.refresh_env(Colour.BLUE if first else live, **({"blue": image} if first else {}))

    def live(self, stack: Stack) -> Colour | None:
        """The live colour, or None before the first release (see build.model.colours.live)."""
        return pure.live(stack)

    def live_or_none(self, stack: Stack) -> Colour | None:
        """The same for those who only look: with both in rotation the one that a canary is compared with, or None."""
        try:
            return pure.live(stack)
        except ProxyError:
            left = history.in_progress(self.history())
            return Colour(left.colour).other if left and left.step == CANARY else None

    def await_healthy(self, services: list[str], timeout_s: float = 60) -> None:
        """Waits until the containers run and, where they have a health check, pass it.

        Raises:
            CommandFailedError: one did not within the time; with its newest log lines.
        """
        for service in services:
            name = self.settings.container(service)
            began = self.clock.now()
            for now in self.clock.polls():
                container = self.engine.container(name)
                health = container.attrs["State"].get("Health", {}).get("Status") if container else None
                if container and container.status == "running" and health in (None, "healthy"):
                    break
                if now - began > timeout_s:
                    logs = self.engine.logs(container) if container else ""
                    raise CommandFailedError(f"{name} is not healthy after {timeout_s:.0f} s", detail=logs)
