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
