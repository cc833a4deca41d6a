"""Run a release in a temporary container, for the gate or a calibration; the stack is not touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from build.errors import OrchestratorError
from build.gate import gate
from build.gate.verdict import Judgement
from build.model.release import Release
from build.progress import Progress
from build.target.await_ready import Start
from build.target.container import ServiceContainer
from build.target.cpu import CANDIDATE_WEIGHT, SERVING_WEIGHT
from build.target.types import Target

# Reserves room for a release's model and yields the UUID of its GPU (build.cutover.gpu_room.alone).
Room = Callable[[Target, Progress, Release], AbstractContextManager[str]]


def run(target: Target, progress: Progress, release: Release, room: Room) -> tuple[Judgement, Path]:
    """Run the gate alone; return its judgement and the folder with the recordings.

    Raises:
        GateRefusedError: the release failed.
    """
    folder = target.settings.root / "out/gates" / release.sha
    live = live_service(target)
    with running(target, progress, release, room) as candidate:
        return gate.run(candidate, live, target.settings, target.clock, progress, folder), folder


def live_service(target: Target) -> ServiceContainer | None:
    """Return a running container of the live colour, or None."""
    live = target.live_or_none(target.survey())
    replicas = target.colours[live].replicas if live else []
    return next((replica for replica in replicas if replica.running), None)


@contextmanager
def running(target: Target, progress: Progress, release: Release, room: Room) -> Iterator[ServiceContainer]:
    """Run the release in a temporary container that is ready to speak.

    Raises:
        InsufficientGpuMemoryError: its model does not fit beside the live release.
        CandidateExitedError: the container exited.
        CandidateStalledError: the service did not get ready.
    """
    progress.step(f"starting {release} in a temporary container")
    with ExitStack() as until_end:
        with room(target, progress, release) as device:
            container = until_end.enter_context(target.standalone(release.image, device))
            _await_ready(container, target, progress, release)
        container.set_cpu_weight(SERVING_WEIGHT)
        yield container


def _await_ready(container: ServiceContainer, target: Target, progress: Progress, release: Release) -> None:
    container.set_cpu_weight(CANDIDATE_WEIGHT)
    try:
        start = Start(container, release, target.settings, target.clock, progress, CANDIDATE_WEIGHT)
        start.await_phases("ready")
    except OrchestratorError as error:
        error.detail = container.remove()
        raise
