"""Wait for a starting service as long as it makes progress."""

from __future__ import annotations

from typing import Protocol

from build.errors import CandidateExitedError, CandidateStalledError, OrchestratorError
from build.model.release import Release
from build.progress import Progress
from build.settings import Settings
from build.target.readiness import ContainerSnapshot, Readiness, Warmup
from build.target.types import Clock


class Starting(Protocol):
    """A service's container (build.target.container)."""

    def snapshot(self, at: float) -> ContainerSnapshot:
        """Return the state of container and service at `at` (seconds of the caller's clock)."""


UNTOUCHED = "live traffic was not affected"


def await_ready(
    container: Starting,
    release: Release,
    settings: Settings,
    clock: Clock,
    progress: Progress,
    *,
    every_s: float = 0.5,
    client_impact: str = UNTOUCHED,
) -> float:
    """Wait until the service is ready; return the seconds. `client_impact`: what a failure means for clients.

    Raises:
        CandidateExitedError: the container exited.
        CandidateStalledError: the service made no progress, or exceeded the start timeout.
    """
    began = clock.now()
    warmup = Warmup(settings.stall_timeout_s, settings.start_timeout_s, began)
    phase = ""
    for now in clock.polls(every_s):
        snapshot = container.snapshot(now)
        outcome = warmup.judge(snapshot)
        if snapshot.phase and snapshot.phase != phase:
            phase = snapshot.phase
            progress.note(f"{now - began:5.1f} s  {phase}")
        if outcome is Readiness.READY:
            return now - began
        if outcome is not Readiness.WAIT:
            raise not_ready(release, settings, outcome, snapshot, now - began, client_impact)
    raise AssertionError("a clock never ends")


def not_ready(
    release: Release,
    settings: Settings,
    outcome: Readiness,
    snapshot: ContainerSnapshot,
    after_s: float,
    client_impact: str,
) -> OrchestratorError:
    """Return the error for a service that did not get ready."""
    if outcome is Readiness.EXITED:
        reason = snapshot.error or (
            f"exit code {snapshot.exit_code}" if snapshot.exit_code is not None else "it was removed"
        )
        return CandidateExitedError(
            f"the candidate {release} exited {after_s:.1f} s after its start: {reason}",
            remedy=f"read its log above, then switch again; {client_impact}",
        )
    error = f" ({snapshot.error})" if snapshot.error else ""
    phase = f"its phase is {snapshot.phase}{error}" if snapshot.phase else f"its control socket does not answer{error}"
    limit = (
        f"no progress for {settings.stall_timeout_s:.0f} s"
        if outcome is Readiness.STALLED
        else f"not ready within {settings.start_timeout_s:.0f} s"
    )
    return CandidateStalledError(
        f"the candidate {release} did not get ready: {limit}; {phase}",
        remedy="read its log above; stall_timeout_s and start_timeout_s set the limits",
    )
