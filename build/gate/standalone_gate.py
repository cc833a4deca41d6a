"""Run a release in a temporary container, for the gate or a calibration; the stack is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


def run(target: Target, progress: Progress, release: Release) -> tuple[Judgement, Path]:
    """Run the gate alone; return its judgement and the folder with the recordings.

    Raises:
        GateRefusedError: the release failed.
    """
    folder = target.settings.root / "out/gates" / release.sha
    live = live_service(target)
    with running(target, progress, release) as candidate:
        return gate.run(candidate, live, target.settings, target.clock, progress, folder), folder


def live_service(target: Target) -> ServiceContainer | None:
    """Return a running container of the live colour, or None."""
    live = target.live_or_none(target.survey())
    replicas = target.colours[live].replicas if live else []
    return next((replica for replica in replicas if replica.running), None)


@contextmanager
def running(target: Target, progress: Progress, release: Release) -> Iterator[ServiceContainer]:
    """Run the release in a temporary container that is ready to speak.

    Raises:
        CandidateExitedError: the container exited.
        CandidateStalledError: the service did not get ready.
    """
    progress.step(f"starting {release} in a temporary container")
    settings = target.settings
    with target.standalone(release.image) as container:
        container.set_cpu_weight(CANDIDATE_WEIGHT)
        try:
            start = Start(container, release, settings, target.clock, progress, CANDIDATE_WEIGHT)
            start.await_phases("ready")
        except OrchestratorError as error:
            error.detail = container.remove()
            raise
        container.set_cpu_weight(SERVING_WEIGHT)
        yield container
