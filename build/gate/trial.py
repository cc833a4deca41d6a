"""A release tried alone: in a throw-away container, by the gate or for a calibration; the stack is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build.errors import LineError
from build.gate import gate
from build.gate.verdict import Judgement
from build.model.release import Release
from build.progress import Report
from build.target import throwaway
from build.target.await_ready import await_ready
from build.target.container import CANDIDATE_WEIGHT, SERVING_WEIGHT, ServiceContainer
from build.target.target import Target


def run(target: Target, report: Report, release: Release) -> tuple[Judgement, Path]:
    """The gate alone: its judgement, and the folder with what was spoken.

    Raises:
        GateRefusedError: the release did not pass.
    """
    keep = target.settings.root / "out/gates" / release.sha
    live = live_service(target)
    with running(target, report, release) as candidate:
        return gate.run(candidate, live, target.settings, target.clock, report, keep), keep


def live_service(target: Target) -> ServiceContainer | None:
    """The live colour's container, if there is one that runs."""
    live = target.live_or_none(target.survey())
    running = [each for each in target.colours[live].replicas if each.running] if live else []
    return running[0] if running else None


@contextmanager
def running(target: Target, report: Report, release: Release) -> Iterator[ServiceContainer]:
    """The release in a container of its own, ready to speak.

    Raises:
        CandidateExitedError: it stopped by itself.
        CandidateStalledError: it did not get ready.
    """
    report.step(f"starting {release} on its own")
    settings = target.settings
    with throwaway.service(target.engine, settings.project, release.image, settings.speech) as container:
        container.set_cpu_weight(CANDIDATE_WEIGHT)
        try:
            await_ready(container, release, settings, target.clock, report)
        except LineError as error:
            error.detail = container.remove()
            raise
        container.set_cpu_weight(SERVING_WEIGHT)
        yield container
