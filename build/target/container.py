"""A container of the service: its release, status, GPU use and syntheses, all through Docker exec."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from build.docker.engine import DockerEngine, ExecResult, convert_errors
from build.errors import CommandFailedError
from build.model.colours import Slot
from build.model.labels import RELEASE_LABEL
from build.model.release import Release
from build.target import cpu, in_flight
from build.target.cpu import HostCpu
from build.target.gpu import View, view
from build.target.in_flight import Counts, Load
from build.target.readiness import ContainerSnapshot
from build.target.synthesis import SynthesisResponse

SPEAK = Path(__file__).parent / "in_container/speak.py"
STATUS = Path(__file__).parent / "in_container/status.py"
STATUS_TIMEOUT_S = 5
GPU_TIMEOUT_S = 10
EPOCH = "CONTROL_EPOCH"  # variable of service.control
TIMED_OUT = 124  # exit code of timeout(1)


@dataclass(frozen=True)
class Owned:
    """A container that belongs to a cutover: a later one in the same slot has another ID and is never touched.

    Attributes:
        id: its ID; "" to find it by name.
        confirm: raises LockLostError unless this process holds the cutover lock; returns the lock's epoch, 0 if no
            lock is needed.
    """

    id: str = ""
    confirm: Callable[[], int] = lambda: 0


FOUND = Owned()
ABSENT = "0" * 64  # the ID of no container


@dataclass(frozen=True)
class ServiceStatus:
    """Status from the service's control socket (service.control status).

    Attributes:
        oldest_s: age of the oldest request.
        classes: requests by class; empty for a release without classes.
    """

    phase: str = ""
    progress: int = 0
    requests: int | None = None
    oldest_s: float | None = None
    streams: int = 0
    jobs: int = 0
    sample_rate: int | None = None
    error: str = ""
    classes: Counts = field(default_factory=dict)

    def load(self, sessions: int, queued: int) -> Load:
        """Return the requests in flight by the given counts of the proxy and the service's own counts."""
        return Load(sessions, queued, self.requests, self.streams, self.jobs)


class ServiceContainer:
    """A container that runs the service, found by name."""

    def __init__(self, engine: DockerEngine, name: str, owned: Owned = FOUND) -> None:
        self._engine = engine
        self.name = name
        self._owned = owned
        self._reference = owned.id or name

    def find(self) -> Container | None:
        return self._engine.container(self._reference)

    @property
    def running(self) -> bool:
        container = self.find()
        return container is not None and container.status == "running"

    @property
    def crashed(self) -> bool:
        """Whether the container exited or its restart policy restarted it. Needs no exec."""
        container = self.find()
        return container is None or _crashed(container)

    @property
    def life(self) -> str:
        """Identifier of the current run of the container, new after each start; "" without a container."""
        container = self.find()
        return f"{container.id} {container.attrs['State']['StartedAt']}" if container else ""

    def release(self) -> Release | None:
        """Return the container's release; None without a container."""
        container = self.find()
        if container is None:
            return None
        # .env must name the same reference that created the container, or Compose sees a difference.
        return Release(container.labels.get(RELEASE_LABEL, "unknown"), _reference(container))

    def status(self) -> ServiceStatus:
        """Return the service's status; an empty one with `error` if it does not answer (yet)."""
        try:
            argv = ["python", "-I", "-S", "-c", STATUS.read_text(), str(STATUS_TIMEOUT_S)]
            answer = self._engine.execute(self.name, ["timeout", str(STATUS_TIMEOUT_S), *argv])
            status: dict[str, Any] = json.loads(answer.stdout) if answer.exit_code == 0 else {"error": answer.error}
            status["classes"] = in_flight.read(status.get("classes", {}))
            return ServiceStatus(
                **{name: status[name] for name in ServiceStatus.__dataclass_fields__ if status.get(name) is not None}
            )
        except (CommandFailedError, ValueError, TypeError, AttributeError) as error:
            return ServiceStatus(error=str(error))

    def snapshot(self, at: float) -> ContainerSnapshot:
        """Return the state of container and service at `at` (seconds of the caller's clock)."""
        container = self.find()
        if container is None:
            return ContainerSnapshot(at, running=False)
        if _crashed(container):
            return ContainerSnapshot(at, running=False, exit_code=self._engine.exit_code(container))
        status = self.status()
        return ContainerSnapshot(
            at,
            running=True,
            phase=status.phase,
            progress=status.progress,
            error=status.error,
            cpu_s=None if status.phase == "ready" else self._cpu_s(container),
        )

    def _cpu_s(self, container: Container) -> float | None:
        try:
            rows = self._engine.processes(container, "pid", "ppid", "cputimes")
            return cpu.service_time(rows, container.attrs["State"]["Pid"])
        except (CommandFailedError, ValueError):
            return None

    def host_cpu(self) -> HostCpu:
        """Return how busy the host's CPUs are, as the container sees it; unknown if it does not answer."""
        argv = ["timeout", str(STATUS_TIMEOUT_S), "cat", "/sys/fs/cgroup/cpu.pressure", "/proc/loadavg"]
        try:
            text = self._engine.execute(self.name, argv).text
            return HostCpu.from_proc(text, self._engine.cores)
        except (CommandFailedError, ValueError, LookupError):
            return HostCpu()

    def load(self, sessions: int, queued: int) -> Load:
        """Return the requests in flight by the given counts of the proxy and the service's current status."""
        return self.status().load(sessions, queued)

    def control(self, command: str, timeout_s: float) -> str:
        """Send a command to service.control; return "" on success, else the reason."""
        try:
            answer = self._exec(timeout_s, "service.control", *command.split(), environment=self._confirmed())
            response = json.loads(answer.stdout) if answer.stdout else {}
        except (CommandFailedError, ValueError) as error:
            return str(error)
        return (
            "" if not answer.exit_code else str(response.get("refused") or answer.error or f"exit {answer.exit_code}")
        )

    def begin_load(self) -> None:
        """Start loading the model and return: only the service's progress shows how long it takes."""
        self._engine.begin(self._reference, ["python", "-m", "service.control", "load"], self._confirmed())

    def gpu(self) -> View:
        """Return the GPUs that this container sees."""
        try:
            answer = self._exec(GPU_TIMEOUT_S, "service.probe", "gpu")
            return (
                view(json.loads(answer.stdout))
                if not answer.exit_code
                else View(why="its release does not report GPUs")
            )
        except (CommandFailedError, ValueError, KeyError, TypeError) as error:
            return View(why=str(error))

    def pids(self) -> frozenset[int]:
        """Return the pids of its processes in the host's numbering; empty if it does not run."""
        container = self.find()
        if container is None or container.status != "running":
            return frozenset()
        try:
            return self._engine.pids(container)
        except CommandFailedError:
            return frozenset()

    def start(self) -> None:
        """Start the stopped container."""
        container = self._own()
        if container is not None:
            with convert_errors():
                container.start()

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        """Synthesize a text; build/target/in_container/speak.py sends and times the request inside the container."""
        return self._speak(timeout_s, text, voice)

    def speak_through(self, proxy: str, server: str, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        """Synthesize a text on one server through the proxy at `proxy` (HOST:PORT), from inside this container."""
        return self._speak(timeout_s, text, voice, proxy, f"COLOUR={server}")

    def _speak(self, timeout_s: float, text: str, voice: str, *route: str) -> SynthesisResponse:
        argv = ["timeout", str(timeout_s), "python", "-c", SPEAK.read_text(), text, voice, str(timeout_s), *route]
        try:
            answer = self._engine.execute(self._reference, argv)
        except CommandFailedError as error:  # the container exited or is paused
            return SynthesisResponse(b"", error=error.message)
        if answer.exit_code == TIMED_OUT:
            return SynthesisResponse(b"", error=f"no answer within {timeout_s:.0f} s")
        try:
            fields: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
            return SynthesisResponse(base64.b64decode(fields.pop("wav")), **fields)
        except (ValueError, LookupError, TypeError):
            return SynthesisResponse(b"", error=answer.error or f"exit code {answer.exit_code}")

    def set_cpu_weight(self, weight: int) -> None:
        """Set the container's CPU weight under contention; Docker's default is 1024.

        Errors are ignored: the weight only protects live traffic, and a container that exited is noticed elsewhere.
        """
        container = self._own()
        if container is not None:
            with contextlib.suppress(CommandFailedError), convert_errors():
                container.update(cpu_shares=weight)

    def stop(self, grace_s: int) -> None:
        """Send SIGTERM, then SIGKILL after `grace_s` seconds; the container stays for a fast rollback."""
        container = self._own()
        if container is not None:
            with convert_errors():
                container.stop(timeout=grace_s)

    def remove(self) -> str:
        """Remove the container; return the last lines of its log."""
        container = self._own()
        if container is None:
            return ""
        logs = self._engine.logs(container)
        self._engine.remove(container)
        return logs

    def _own(self) -> Container | None:
        """Return the container for a change, after a confirmation that this process may still make one."""
        self._owned.confirm()
        return self.find()

    def _confirmed(self) -> dict[str, str]:
        """Return the epoch for the service, which refuses an older one than it has seen."""
        epoch = self._owned.confirm()
        return {EPOCH: str(epoch)} if epoch else {}

    def _exec(self, timeout_s: float, module: str, *args: str, environment: dict[str, str] | None = None) -> ExecResult:
        # The engine has no timeout for an exec, so timeout(1) sets one inside.
        argv = ["timeout", str(timeout_s), "python", "-m", module, *args]
        return self._engine.execute(self._reference, argv, environment)


class Replica(ServiceContainer):
    """The container of a slot."""

    def __init__(self, engine: DockerEngine, project: str, slot: Slot, owned: Owned = FOUND) -> None:
        super().__init__(engine, f"{project}-{slot.service}-1", owned)
        self.slot = slot


def _crashed(container: Container) -> bool:
    return container.attrs["State"]["Status"] != "running" or bool(container.attrs["RestartCount"])


def _reference(container: Container) -> str:
    configured: str = container.attrs["Config"]["Image"]
    return configured if "sha256:" in configured else str(container.attrs["Image"])
