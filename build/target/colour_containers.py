"""All containers of one colour behind the interface of a single one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from build.docker.engine import DockerEngine
from build.model.colours import Colour
from build.model.release import Release
from build.target import in_flight
from build.target.container import ABSENT, Owned, Replica, ServiceStatus
from build.target.cpu import HostCpu
from build.target.gpu import View
from build.target.in_flight import Load
from build.target.readiness import ContainerSnapshot
from build.target.synthesis import SynthesisResponse

# From worst to best; "" means no answer (yet).
PHASES = ("failed", "", "starting", "loading", "unloading", "unloaded", "warming", "draining", "ready")


class ColourContainers:
    """The containers of one colour. Without a container, each method answers like an absent container."""

    def __init__(self, engine: DockerEngine, project: str, colour: Colour) -> None:
        self._engine = engine
        self._project = project
        self._prefix = f"{project}-{colour.slots[0].service}-"
        self.colour = colour
        self.slots = tuple(Replica(engine, project, slot) for slot in colour.slots)
        self._owned: frozenset[str] | None = None  # names of the owned containers

    def owned(self, confirm: Callable[[], int]) -> ColourContainers:
        """Return the containers that exist now, by their IDs; each change asks `confirm` first (see Owned)."""
        found = self._ids()
        colour = ColourContainers(self._engine, self._project, self.colour)
        colour.slots = tuple(
            Replica(self._engine, self._project, replica.slot, Owned(found.get(replica.name, ABSENT), confirm))
            for replica in self.slots
        )
        colour._owned = frozenset(found)
        return colour

    def _ids(self) -> dict[str, str]:
        return self._engine.ids(self._prefix)

    @property
    def replicas(self) -> list[Replica]:
        """The existing containers, running or not."""
        if self._owned is not None:
            return [replica for replica in self.slots if replica.name in self._owned and replica.find()]
        names = self._ids()
        return [replica for replica in self.slots if replica.name in names]

    @property
    def name(self) -> str:
        """Names of the containers, for messages."""
        return " ".join(replica.name for replica in self.replicas) or self.slots[0].name

    @property
    def state(self) -> str:
        """Docker's status of the worst container; "absent" without any."""
        states = [replica.find() for replica in self.replicas]
        words = [container.status for container in states if container is not None]
        return next((word for word in words if word != "running"), "running") if words else "absent"

    @property
    def running(self) -> bool:
        """Whether at least one container runs."""
        return any(replica.running for replica in self.replicas)

    @property
    def crashed(self) -> bool:
        """Whether a container exited or its restart policy restarted it, or there is none."""
        replicas = self.replicas
        return not replicas or any(replica.crashed for replica in replicas)

    def release(self) -> Release | None:
        """Return the release of the containers; None without one."""
        return next((replica.release() for replica in self.replicas), None)

    def status(self) -> ServiceStatus:
        """Combine the services' statuses: the worst phase, the sum of requests in flight, the oldest age."""
        statuses = [replica.status() for replica in self.replicas]
        return reduce(_together, statuses) if statuses else ServiceStatus()

    def snapshot(self, at: float) -> ContainerSnapshot:
        """Return the snapshot of the container that is farthest from ready."""
        snapshots = [replica.snapshot(at) for replica in self.replicas]
        progress = sum(snapshot.progress for snapshot in snapshots)
        gone = next((snapshot for snapshot in snapshots if not snapshot.running), None)
        if gone or not snapshots:
            return gone or ContainerSnapshot(at, running=False)
        worst = min(snapshots, key=lambda snapshot: _rank(snapshot.phase))
        # A ready replica uses CPU time too, but does not bring the others on.
        times_s = [snapshot.cpu_s for snapshot in snapshots if snapshot.phase != "ready" and snapshot.cpu_s is not None]
        cpu_s = sum(times_s) if times_s else None
        return ContainerSnapshot(at, running=True, phase=worst.phase, progress=progress, error=worst.error, cpu_s=cpu_s)

    def host_cpu(self) -> HostCpu:
        """Return how busy the host's CPUs are, as the first container sees it."""
        return self.slots[0].host_cpu()

    def load(self, sessions: int, queued: int) -> Load:
        """Return the requests in flight by the given counts of the proxy and the services' own counts."""
        return self.status().load(sessions, queued)

    def control(self, command: str, timeout_s: float) -> str:
        """Send a command to each running service; return the first failure, "" if all succeed."""
        errors = [replica.control(command, timeout_s) for replica in self.replicas if replica.running]
        return next(filter(None, errors), "")

    def begin_load(self) -> None:
        """Make each service without a model load it."""
        for replica in self.replicas:
            if replica.status().phase == "unloaded":
                replica.begin_load()

    def gpu(self) -> View:
        """Return the GPUs that the containers see, each device once."""
        views = [replica.gpu() for replica in self.replicas if replica.running]
        return reduce(View.beside, views) if views else View(why="no container runs")

    def pids(self) -> frozenset[int]:
        """Return the pids of their processes in the host's numbering."""
        return frozenset[int]().union(*(replica.pids() for replica in self.replicas))

    def start(self) -> None:
        for replica in self.replicas:
            replica.start()

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        """Synthesize a text on the first container."""
        return self.slots[0].speak(text, voice, timeout_s)

    def set_cpu_weight(self, weight: int) -> None:
        for replica in self.replicas:
            replica.set_cpu_weight(weight)

    def stop(self, grace_s: int) -> None:
        for replica in self.replicas:
            replica.stop(grace_s)

    def remove(self) -> str:
        """Remove the containers; return the last lines of their logs."""
        return "\n".join(filter(None, [replica.remove() for replica in self.replicas]))


def _rank(phase: str) -> int:
    return PHASES.index(phase if phase in PHASES else "")


def _together(one: ServiceStatus, other: ServiceStatus) -> ServiceStatus:
    worst = min(one, other, key=lambda status: _rank(status.phase))
    ages = [status.oldest_s for status in (one, other) if status.oldest_s is not None]
    counts = [status.requests for status in (one, other) if status.requests is not None]
    return ServiceStatus(
        phase=worst.phase,
        progress=one.progress + other.progress,
        requests=sum(counts) if counts else None,
        oldest_s=max(ages, default=None),
        streams=one.streams + other.streams,
        jobs=one.jobs + other.jobs,
        sample_rate=one.sample_rate,
        error=one.error or other.error,
        classes=in_flight.together([one.classes, other.classes]),
    )
