"""A target without Docker: a proxy, two colours of one container, services that obey, and time that tests move."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.alerts import Alerts
from agent.guardian import Guardian
from agent.haproxy import HAProxy
from agent.orders import Orders
from agent.protocol import Refusal, RefusedError
from agent.rescue import Clock
from agent.servers import Answer
from agent.start_flags import StartFlags
from agent.target import Target

MEMORY = Path("/dev/shm")  # noqa: S108 - the agent syncs every record, which disks make slow
HEAD = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n"
_NUMBERS = itertools.count(1)


@dataclass
class Container:
    """One container of a release, with the service's state.

    Attributes:
        proven: whether the release passed the gate.
        hangs: whether the service answers nothing.
        epoch: the newest that the service knows.
    """

    release: str
    phase: str = "ready"
    proven: bool = False
    hangs: bool = False
    epoch: int = 0
    loads: bool = True
    wanted: str = ""
    obeyed: tuple[int, str] = (0, "")
    id: int = field(default_factory=lambda: next(_NUMBERS))

    @property
    def ready(self) -> bool:
        return self.phase == "ready" and not self.hangs

    def control(self, command: str, epoch: int) -> bool:
        """Obey a control command of the orchestrator; refuse one of an epoch that is over."""
        if epoch < self.epoch or self.hangs:
            return False
        self.epoch, self.wanted = epoch, command
        return True


class Proxy(HAProxy):
    """Server states, weights and the gate, as HAProxy keeps them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.admin = {"blue-1": "ready", "green-1": "maint"}
        self.weights = dict.fromkeys(self.admin, 100)
        self.hold = "none"
        self.away = False

    def ask(self, commands: Sequence[str]) -> str:
        if self.away:
            raise RefusedError(Refusal.PROXY, "the proxy's runtime socket does not answer")
        return "".join(map(self._run, commands))

    def save(self) -> None:
        if self.world.full:
            raise OSError(28, "No space left on device")

    def _run(self, command: str) -> str:
        words = command.split()
        if words[0] == "show":
            return HEAD + "".join(self._row(name) for name in self.admin) + "\n"
        if words[0] == "hold":
            self.hold = words[1] if len(words) > 1 else self.hold
            return f"{self.hold} 0\n"
        server = words[2].removeprefix("app/")
        if words[3] == "state" and server in self.admin:
            self.admin[server] = words[4]
        if words[3] == "weight":
            self.weights[server] = int(words[4])
        return "\n"

    def _row(self, name: str) -> str:
        flags = {"ready": 0, "drain": 8, "maint": 1}[self.admin[name]]
        up = 2 if self.up(name) else 0
        return f"3 app 1 {name} {name.removesuffix('-1')} {up} {flags} {self.weights[name]} 7860\n"

    def up(self, name: str) -> bool:
        container = self.world.containers[name.removesuffix("-1")]
        return container is not None and container.ready

    def serving(self) -> list[str]:
        """Return the colours in rotation."""
        return [name.removesuffix("-1") for name, admin in self.admin.items() if admin == "ready"]


class World:
    """Everything on one target; `small` if only one model fits the GPU."""

    def __init__(self, *, small: bool = False) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.path = Path(self.folder.name)
        self.time, self.small, self.full = 1000.0, small, False
        self.containers: dict[str, Container | None] = {"blue": Container("old", proven=True), "green": None}
        self.proxy = Proxy(self)
        self.alerts: list[str] = []
        self.restart_agent()

    def restart_agent(self) -> None:
        """Start the agent anew over the same files."""
        now = lambda: self.time  # noqa: E731
        self.target = Target(self.path, self.proxy, StartFlags(self.path), Orders(self.path), now)
        self.guardian = Guardian(
            self.target.answer, self.readyz, Clock(now, self.sleep), Recorder("test", self.alerts), lambda _line: None
        )

    def readyz(self, address: str) -> Answer:
        container = self.containers[address.partition(":")[0]]
        if container is None or container.hangs or container.phase == "stopped":
            return Answer()
        return Answer(container.phase, container.release, container.epoch)

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        return self.target.answer({"do": operation, **fields})

    def records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("journal read")["records"]
        return found

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the services do what they were told."""
        self.time += seconds
        for colour, container in self.containers.items():
            if container and not container.hangs and container.phase != "stopped":
                self._obey(colour, container)

    def _obey(self, colour: str, container: Container) -> None:
        file = self.path / colour / "command"
        if file.exists():
            content = json.loads(file.read_text())
            order = int(content["epoch"]), str(content["do"])
            if order != container.obeyed and order[0] >= container.epoch:
                container.epoch, container.obeyed = order[0], order
                container.wanted = order[1] if order[1] != "keep" else container.wanted
        if container.wanted == "unload":
            container.phase, container.wanted = "unloaded", ""
        if container.wanted == "load" and container.loads and self._fits(colour):
            container.phase, container.wanted = "ready", ""

    def _fits(self, colour: str) -> bool:
        other = self.containers["green" if colour == "blue" else "blue"]
        return not self.small or other is None or other.phase != "ready"

    def guard(self, seconds: float) -> None:
        """Let the agent look every second for a while."""
        end = self.time + seconds
        while self.time < end:
            self.sleep(1)
            self.guardian.tick()

    def close(self) -> None:
        self.folder.cleanup()


class Recorder(Alerts):
    """Keeps alerts."""

    def __init__(self, project: str, sent: list[str]) -> None:
        super().__init__(project, Path("none"))
        object.__setattr__(self, "sent", sent)

    def send(self, summary: str, **_facts: str) -> None:
        self.sent: list[str]
        self.sent.append(summary)

    def unhealthy(self, summary: str, release: str) -> None:
        self.sent.append(f"{summary} ({release})")

    def healthy(self, release: str) -> None:
        self.sent.append(f"healthy ({release})")
