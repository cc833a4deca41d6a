"""Wait for a starting service as long as it makes progress, and give it CPU time on a busy host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from build.errors import CandidateExitedError, CandidateStalledError, OrchestratorError
from build.model.release import Release
from build.progress import Progress
from build.settings import Settings
from build.target.cpu import HostCpu, WeightLadder
from build.target.readiness import ContainerSnapshot, Readiness, Warmup
from build.target.types import Clock

UNTOUCHED = "live traffic was not affected"


class Starting(Protocol):
    """A service's container (build.target.container)."""

    def snapshot(self, at: float) -> ContainerSnapshot:
        """Return the state of container and service at `at` (seconds of the caller's clock)."""

    def host_cpu(self) -> HostCpu:
        """Return how busy the host's CPUs are, as the container sees it."""

    def set_cpu_weight(self, weight: int) -> None:
        """Set the container's CPU weight under contention."""


@dataclass(frozen=True)
class Start:
    """The start of a release's container.

    Attributes:
        weight: CPU weight of the container at the begin.
        client_impact: what a failure means for clients.
    """

    container: Starting
    release: Release
    settings: Settings
    clock: Clock
    progress: Progress
    weight: int
    client_impact: str = UNTOUCHED

    def polls(self, every_s: float = 0.5) -> Iterator[tuple[float, ContainerSnapshot]]:
        """Yield the seconds and a snapshot until the service is ready; raise its CPU weight while the host is busy.

        Raises:
            CandidateExitedError: the container exited.
            CandidateStalledError: the service made no progress, or exceeded the start timeout.
        """
        began = self.clock.now()
        warmup = Warmup(self.settings.stall_timeout_s, self.settings.start_timeout_s, began)
        ladder = WeightLadder(self.weight, began)
        for now in self.clock.polls(every_s):
            snapshot = self.container.snapshot(now)
            outcome = warmup.judge(snapshot)
            if outcome not in {Readiness.WAIT, Readiness.READY}:
                raise self._failure(outcome, snapshot, warmup, ladder, now - began)
            yield now - began, snapshot
            polled = self.clock.now()
            if ladder.starved(polled, polled - now, warmup.cpu):
                warmup.restart(polled)
                self.container.set_cpu_weight(ladder.climb())
                figures = _figures(warmup, ladder, self.container.host_cpu(), polled - began)
                self.progress.note(f"{polled - began:5.1f} s  the host is busy: {figures}")

    def await_phases(self, *phases: str, every_s: float = 0.5) -> tuple[str, float]:
        """Wait until the service is in one of the phases; return the phase and the seconds. Raise as `polls` does."""
        phase = ""
        for elapsed_s, snapshot in self.polls(every_s):
            if snapshot.phase and snapshot.phase != phase:
                phase = snapshot.phase
                self.progress.note(f"{elapsed_s:5.1f} s  {phase}")
            if phase in phases:
                return phase, elapsed_s
        raise AssertionError("a clock never ends")

    def _failure(
        self, outcome: Readiness, snapshot: ContainerSnapshot, warmup: Warmup, ladder: WeightLadder, after_s: float
    ) -> OrchestratorError:
        if outcome is Readiness.EXITED:
            return self._exited(snapshot, after_s)
        error = f" ({snapshot.error})" if snapshot.error else ""
        phase = (
            f"its phase is {snapshot.phase}{error}" if snapshot.phase else f"its control socket does not answer{error}"
        )
        limit = (
            f"no progress for {self.settings.stall_timeout_s:.0f} s"
            if outcome is Readiness.STALLED
            else f"not ready within {self.settings.start_timeout_s:.0f} s"
        )
        host = self.container.host_cpu()
        saturated = "; the host is saturated" if host.saturated else ""
        remedy = "read its log above; stall_timeout_s and start_timeout_s set the limits"
        return CandidateStalledError(
            f"the candidate {self.release} did not get ready: {limit}; {phase}{saturated}; "
            f"{_figures(warmup, ladder, host, after_s)}",
            remedy=f"reduce the load of the host, or {remedy}" if saturated else remedy,
        )

    def _exited(self, snapshot: ContainerSnapshot, after_s: float) -> CandidateExitedError:
        code = f"exit code {snapshot.exit_code}" if snapshot.exit_code is not None else "it was removed"
        return CandidateExitedError(
            f"the candidate {self.release} exited {after_s:.1f} s after its start: {snapshot.error or code}",
            remedy=f"read its log above, then switch again; {self.client_impact}",
        )


def _figures(warmup: Warmup, ladder: WeightLadder, host: HostCpu, after_s: float) -> str:
    received = f"received {warmup.cpu.received_s:.1f} s of CPU time" if warmup.cpu.known else "has an unknown CPU time"
    return f"it {received} in {after_s:.1f} s, its CPU weight is {ladder.weight}, {host}"
