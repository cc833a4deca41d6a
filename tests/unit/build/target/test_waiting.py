"""Readiness of a starting service, and emptiness of a draining one."""

import pytest

from build.cutover.rules.drain import DrainProgress
from build.cutover.rules.drain import judge as judge_drain
from build.target.in_flight import Load
from build.target.readiness import ContainerSnapshot, Readiness, Warmup


def outcomes(*snapshots: ContainerSnapshot, stall_s: float = 10, budget_s: float = 100) -> list[Readiness]:
    warmup = Warmup(stall_s, budget_s, began=0)
    return [warmup.judge(snapshot) for snapshot in snapshots]


def test_a_ready_service_ends_the_wait() -> None:
    assert outcomes(ContainerSnapshot(0, running=True, phase="ready")) == [Readiness.READY]


def test_an_exited_container_or_a_failed_load_ends_the_wait() -> None:
    assert outcomes(ContainerSnapshot(0, running=False, exit_code=3)) == [Readiness.EXITED]
    assert outcomes(ContainerSnapshot(0, running=True, phase="failed", error="no model")) == [Readiness.EXITED]


def test_progress_extends_the_stall_timeout() -> None:
    snapshots = [ContainerSnapshot(at, running=True, phase="loading", progress=at // 9) for at in range(0, 36, 9)]
    still = ContainerSnapshot(46, running=True, phase="loading", progress=3)
    assert outcomes(*snapshots, still) == [Readiness.WAIT] * 4 + [Readiness.STALLED]


def test_the_start_timeout_limits_endless_progress() -> None:
    snapshots = [ContainerSnapshot(at, running=True, phase="loading", progress=at) for at in (0, 9, 18, 27)]
    assert outcomes(*snapshots, budget_s=20)[-1] is Readiness.TOO_LATE


def test_a_service_that_never_answers_is_stalled() -> None:
    assert outcomes(ContainerSnapshot(0, running=True), ContainerSnapshot(11, running=True)) == [
        Readiness.WAIT,
        Readiness.STALLED,
    ]


def busy(*times_s: float | None, every_s: float = 9, phase: str = "loading") -> list[ContainerSnapshot]:
    """Snapshots without any step done, of a service that has received these CPU times."""
    return [
        ContainerSnapshot(number * every_s, running=True, phase=phase, cpu_s=cpu_s)
        for number, cpu_s in enumerate(times_s)
    ]


def test_received_cpu_time_is_progress() -> None:
    assert outcomes(*busy(0, 0.3, 0.6, 0.9, 1.2)) == [Readiness.WAIT] * 5
    assert outcomes(*busy(0, 0.3, 0.6, 0.9, 1.2, phase="")) == [Readiness.WAIT] * 5


def test_a_service_without_cpu_time_is_stalled() -> None:
    assert outcomes(*busy(2, 2.01, 2.02)) == [Readiness.WAIT, Readiness.WAIT, Readiness.STALLED]
    assert outcomes(*busy(None, None, None))[-1] is Readiness.STALLED


def test_a_service_that_answers_only_sometimes_has_not_progressed() -> None:
    snapshots = [ContainerSnapshot(at, running=True, phase="" if at % 2 else "loading") for at in range(15)]
    assert outcomes(*snapshots)[-1] is Readiness.STALLED


def test_an_exited_process_does_not_hide_cpu_time() -> None:
    assert outcomes(*busy(5, 5.3, 0.2, 0.5, 0.8)) == [Readiness.WAIT] * 5


def test_the_start_timeout_limits_a_service_that_only_spins() -> None:
    assert outcomes(*busy(0, 9, 18, 27), budget_s=20)[-1] is Readiness.TOO_LATE


@pytest.mark.parametrize(
    ("load", "verdict"),
    [
        (Load(0, 0, 0), DrainProgress.EMPTY),
        (Load(2, 0, 0, streams=2), DrainProgress.EMPTY),
        (Load(3, 0, 1, streams=2), DrainProgress.BUSY),
        (Load(1, 0, 0), DrainProgress.BUSY),
        (Load(0, 1, 0), DrainProgress.BUSY),
        (Load(0, 0, 0, jobs=1), DrainProgress.BUSY),
        (Load(0, 0, None), DrainProgress.EMPTY),
        (Load(1, 0, None), DrainProgress.BUSY),
    ],
)
def test_a_colour_is_empty_when_neither_proxy_nor_service_counts_work(load: Load, verdict: DrainProgress) -> None:
    assert judge_drain(load, waited_s=1, budget_s=10) is verdict


def test_work_beyond_the_budget_is_reported() -> None:
    assert judge_drain(Load(1, 0, 1), waited_s=11, budget_s=10) is DrainProgress.OVER_BUDGET
    assert judge_drain(Load(0, 0, 0), waited_s=11, budget_s=10) is DrainProgress.EMPTY
