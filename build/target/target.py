"""A target on one Docker engine: the drivers that a cutover uses, and the facts that procedures start from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from build.agent_client import AgentClient
from build.docker import daemon
from build.docker.compose import RUNNING, Compose
from build.docker.engine import DockerEngine
from build.errors import CommandFailedError, ProxyError, StateCorruptError
from build.model import colours as pure
from build.model import dotenv
from build.model.colours import Colour, ColourFacts, Slot, Stack
from build.model.labels import PROXY_REPOSITORY
from build.model.placement import StackAddress
from build.model.states import CANARY
from build.proxy.haproxy import HAProxy
from build.proxy.types import Proxy, Server
from build.settings import Settings
from build.state import history
from build.state.cutover_lock import CutoverLock, Holder
from build.state.history import Cutover
from build.state.journal import Journal
from build.target import api_keys, throwaway
from build.target.colour_containers import ColourContainers
from build.target.container import ServiceContainer
from build.target.description import StackDescription
from build.target.gpu import View, view
from build.target.gpu_reservations import GpuReservations
from build.target.start_flags import StartFlags
from build.target.types import Clock

HOLD_BUDGET_S = 60.0  # the default of proxy/hold.lua, for a proxy that was created without a value
SOCKET_FOLDER = "/run/haproxy"  # a volume that proxy and agent share
ABSENT = Server(admin="maint", up=False, check="", sessions=0, queued=0, rate=0, total=0, errors=0)


class ComposeTarget:
    """The stack of one project on one engine, run by Docker Compose (build.target.types.Target)."""

    def __init__(self, settings: Settings, engine: DockerEngine | None = None) -> None:
        self.settings = settings
        self.clock = Clock()
        self.engine = engine or DockerEngine()
        self.compose = Compose(settings.root)
        agent = AgentClient(settings.container("agent"))
        self.proxy: Proxy = HAProxy(self.engine, settings.container("proxy"), agent)
        self.journal = Journal(agent)
        self.orders = StartFlags(agent)
        self.lock = CutoverLock(agent, settings.alertmanager.get_secret_value())
        self.reservations = GpuReservations(self.engine)
        self.colours = {colour: ColourContainers(self.engine, settings.project, colour) for colour in Colour}

    @cached_property
    def proxy_image(self) -> str:
        """The running proxy's image; else the one that .env names, else the newest one built."""
        container = self.engine.container(self.settings.container("proxy"))
        if container is not None:
            image: str = container.attrs["Config"]["Image"]
            return image
        stored = self.description.env.get("PROXY_IMAGE", "")
        if stored and self.engine.image(stored):
            return stored
        built = self.engine.images(PROXY_REPOSITORY)
        return str(built[0].tags[0]) if built else ""

    @property
    def place(self) -> StackAddress:
        """Address and keys of the existing proxy; those of the settings if there is none."""
        container = self.engine.container(self.settings.container("proxy"))
        if container is None:
            return self.settings.place
        published = next(iter(container.attrs["HostConfig"]["PortBindings"].values()))[0]["HostPort"]
        environment = dict(item.partition("=")[::2] for item in container.attrs["Config"]["Env"])
        return StackAddress.of(int(published), environment, container.labels)

    @property
    def inside(self) -> str:
        """Address (HOST:PORT) of the proxy in the stack's network."""
        return f"{self.place.subnet_prefix}.2:8080"

    @property
    def addresses(self) -> frozenset[str]:
        """Addresses of the colours in the stack's network."""
        prefix = self.place.subnet_prefix
        return frozenset(f"{prefix}.{slot.host}" for colour in Colour for slot in colour.slots)

    def published(self) -> str:
        """Return the proxy's current published address, such as 127.0.0.1:7860; "" if not published."""
        container = self.engine.container(self.settings.container("proxy"))
        bindings = container.attrs["NetworkSettings"]["Ports"].values() if container else ()
        return next(
            (f"{binding['HostIp']}:{binding['HostPort']}" for found in bindings if found for binding in found), ""
        )

    @property
    def hold_budget_s(self) -> float:
        """How long (s) the existing proxy holds a request; the setting if there is none."""
        container = self.engine.container(self.settings.container("proxy"))
        if container is None:
            return self.settings.hold_budget_s
        environment = dict(item.partition("=")[::2] for item in container.attrs["Config"]["Env"])
        return float(environment.get("HOLD_BUDGET_S", HOLD_BUDGET_S))

    def running(self, service: str) -> bool:
        container = self.engine.container(self.settings.container(service))
        return container is not None and container.status == "running"

    @property
    def predates_agent(self) -> bool:
        """True for a stack of 0.1.0: its proxy keeps the runtime socket to itself, so no agent can command it."""
        container = self.engine.container(self.settings.container("proxy"))
        shared = ("volume", SOCKET_FOLDER)
        return container is not None and all(
            (mount["Type"], mount["Destination"]) != shared for mount in container.attrs["Mounts"]
        )

    def now(self) -> float:
        """Return the engine's time in seconds since 1970."""
        return self.engine.now()

    def is_here(self) -> bool:
        """Return whether the engine runs on this machine."""
        return daemon.is_local()

    def image_labels(self, image: str) -> Mapping[str, str] | None:
        """Return the labels of an image on the engine; None if the engine does not have it."""
        found = self.engine.image(image)
        return found.labels if found else None

    def keys_error(self, image: str, folder: str) -> str:
        """Return why a release cannot use the API keys in a folder of the target; "" if it can."""
        return api_keys.problem(self.engine, image, folder)

    def stack_error(self, **planned: str) -> str:
        """Return why compose.yaml is invalid with the current settings; "" if it is valid."""
        try:
            self.description.render(*self._described(planned))
        except CommandFailedError as error:
            return (error.detail or error.message).strip().splitlines()[-1]
        return ""

    def start(self, *slots: Slot) -> None:
        """Create and start the containers of slots; raise CommandFailedError."""
        self.compose.up(*(slot.service for slot in slots))

    def gpu_view(self, image: str) -> View:
        """Return the GPUs as a container of the first slot would see them with this image."""
        slot = Colour.BLUE.slots[0]
        try:
            variables = self.description.variables(*self._described({"blue": image}))
            answer = self.compose.run(variables, slot.service, "python", "-m", "service.probe", "gpu")
            return view(json.loads(answer))
        except (CommandFailedError, ValueError, KeyError, TypeError) as error:
            return View(why=f"the release does not report GPUs: {error}")

    @contextmanager
    def standalone(self, image: str, device: str = "") -> Iterator[ServiceContainer]:
        """Run the service of an image in a temporary container for the block; `device` is a GPU's UUID, "" for any."""
        with throwaway.service(self.engine, self.settings.project, image, self.settings.speech, device) as container:
            yield container

    def processes(self) -> dict[int, str]:
        """Return the container's name of each process in a container, by its pid in the host's numbering."""
        names: dict[int, str] = {}
        for container in self.engine.containers():
            try:
                names |= dict.fromkeys(self.engine.pids(container), str(container.name))
            except CommandFailedError:
                continue  # the container exited in between
        return names

    def survey(self, *, ask_service: bool = False) -> Stack:
        """Return both colours as Docker and the proxy see them; `ask_service` also asks each service for its phase."""
        servers = self.proxy.servers() if self.running("proxy") and self.running("agent") else {}
        return {colour: self._facts(container, servers, ask_service) for colour, container in self.colours.items()}

    def _facts(self, colour: ColourContainers, servers: dict[str, Server], ask_service: bool) -> ColourFacts:
        replicas = colour.replicas
        names = [replica.slot.server for replica in replicas] or list(colour.colour.servers[:1])
        own = [servers.get(name, ABSENT) for name in names]
        backups = [servers.get(replica.slot.standby, ABSENT) for replica in replicas]
        return ColourFacts(
            release=colour.release(),
            container=colour.state,
            # One server in maint, taken out by an operator, does not make the colour idle.
            admin=next((server.admin for server in own if server.admin != "maint"), "maint"),
            usable=any(server.usable for server in own),
            rate=sum(server.rate for server in (*own, *backups)),
            sessions=sum(server.sessions for server in (*own, *backups)),
            phase=colour.status().phase if ask_service and colour.state == "running" else "",
            replicas=len(replicas),
            standby=any(server.usable for server in backups),
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the journal's records; [] while the agent does not run."""
        return self.journal.read() if self.running("agent") else []

    def lock_holder(self) -> Holder | None:
        """Return the owner of the cutover lock; None if it is free or the agent does not run."""
        return self.lock.holder() if self.running("agent") else None

    def history(self, records: list[dict[str, Any]] | None = None) -> list[Cutover]:
        """Return the cutovers in the journal; `records` avoids reading it again."""
        try:
            return history.read(self.records() if records is None else records)
        except (ValueError, KeyError) as error:
            raise StateCorruptError(f"the journal on the target is inconsistent: {error}") from None

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        """Rewrite .env and compose.running.yaml from the containers.

        `planned` (blue=..., green=...) names an image about to start.
        Only a planned colour gets the current settings. A colour without a container keeps its stored entry, so that
        `up` after `down` starts the live release as it ran.
        """
        values, images = self._described(planned)
        stored = [profile for profile in self.description.env.get("COMPOSE_PROFILES", "").split(",") if profile]
        values["COMPOSE_PROFILES"] = ",".join(self._profiles(live) if live else stored)
        self.description.store(values, images, {Colour(colour) for colour in planned})

    @cached_property
    def description(self) -> StackDescription:
        return StackDescription(self.engine, self.compose, self.settings)

    def _described(self, planned: Mapping[str, str]) -> tuple[dict[str, str], dict[Colour, str]]:
        """Return the variables of .env without profiles, and the image of each colour."""
        stored, images = self.description.env, {}
        for colour, container in self.colours.items():
            release = container.release()
            stored_image = stored.get(f"{colour.name}_IMAGE", "")
            images[colour] = planned.get(colour.value) or (release.image if release else stored_image)
        values = dotenv.derive(
            file=RUNNING,
            project=self.settings.project,
            place=self.place,
            proxy_image=self.proxy_image,
            images=images,
            profiles=(),
            hold_budget_s=self.hold_budget_s,
        )
        return values, images

    def changed_settings(self, colour: Colour) -> list[str]:
        """Describe how the current settings differ from those of a colour's containers."""
        replicas = self.colours[colour].replicas
        return self.description.changes(replicas[0].slot.service, *self._described({})) if replicas else []

    def lost_runtime(self, colour: Colour) -> str:
        """Return the container runtime of a colour that the engine no longer has; "" if it has it."""
        found = [replica.find() for replica in self.colours[colour].replicas]
        used = {container.attrs["HostConfig"]["Runtime"] for container in found if container}
        return ", ".join(sorted(used - self.engine.runtimes))

    def _profiles(self, live: Colour) -> list[str]:
        """Return the profiles of the colour's containers; that of its first slot if there are none."""
        return [replica.slot.profile for replica in self.colours[live].replicas] or [live.slots[0].profile]

    @property
    def live_from_env(self) -> Colour | None:
        """The live colour according to .env: needs no exec, but is stale after a cutover from another clone."""
        profiles = self.description.env.get("COMPOSE_PROFILES", "").split(",")
        return next((colour for colour in Colour if not set(profiles).isdisjoint(colour.profiles)), None)

    def adopt(self, image: str, proxy_image: str) -> None:
        """Set fresh images for the first `up` of a clone if its target runs nothing; otherwise refresh .env.

        Does nothing during a cutover, which writes .env itself.
        """
        if self.lock_holder():
            return
        if self.engine.container(self.settings.container("proxy")) is None:
            self.proxy_image = proxy_image
        stack = self.survey()
        live = self.live_or_none(stack)
        empty = all(facts.container == "absent" for facts in stack.values())
        first = empty and not self.description.env.get("COMPOSE_PROFILES")
        self.refresh_env(Colour.BLUE if first else live, **({"blue": image} if first else {}))

    def live(self, stack: Stack) -> Colour | None:
        """Return the live colour, or None before the first release (see build.model.colours.live)."""
        return pure.live(stack)

    def live_or_none(self, stack: Stack) -> Colour | None:
        """Return the live colour for display: during a canary the old one; None if undecided."""
        try:
            return pure.live(stack)
        except ProxyError:
            current = history.in_progress(self.history())
            return Colour(current.colour).other if current and current.step == CANARY else None
