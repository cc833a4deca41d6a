"""CPU time of a starting container: which processes count, when its weight rises, and the words of a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build.errors import CandidateStalledError
from build.model.release import Release
from build.settings import Settings
from build.target.await_ready import Start
from build.target.cpu import CANDIDATE_WEIGHT, SERVING_WEIGHT, CpuMeter, HostCpu, WeightLadder, service_time
from build.target.readiness import ContainerSnapshot
from tests.unit.build.fake_drivers import Clock
from tests.unit.build.fakes import Report

RELEASE = Release("a" * 40, "sha256:" + "a" * 64)
PROC = """some avg10=93.27 avg60=80.01 avg300=22.50 total=1234
full avg10=93.27 avg60=80.01 avg300=22.50 total=1200
9.81 4.20 1.99 12/345 6789
"""


def test_the_cpu_time_of_probes_is_not_the_services() -> None:
    rows = [("100", "99", "1"), ("101", "100", "7"), ("102", "101", "2"), ("200", "99", "50"), ("201", "200", "60")]
    assert service_time(rows, root=100) == 10


def test_the_kernels_figures_are_read_with_and_without_pressure() -> None:
    assert HostCpu.from_proc(PROC, 2) == HostCpu(93.27, 9.81, 2)
    assert HostCpu.from_proc(PROC.splitlines()[-1], 2) == HostCpu(None, 9.81, 2)


@pytest.mark.parametrize(
    ("host", "saturated"),
    [
        (HostCpu(93, 9.8, 2), True),
        (HostCpu(0, 9.8, 2), False),  # it waits for a disk
        (HostCpu(None, 9.8, 2), True),
        (HostCpu(None, 0.4, 2), False),
        (HostCpu(), False),
    ],
)
def test_a_saturated_host_is_told_from_a_slow_disk(host: HostCpu, saturated: bool) -> None:
    assert host.saturated is saturated


def raised(share: float | None, weight: int = CANDIDATE_WEIGHT, poll_s: float = 2) -> list[int]:
    """The weights that a container gets at this share of one core."""
    meter, ladder, weights = CpuMeter(), WeightLadder(weight, began=0), []
    for at in range(100):
        meter.read(None if share is None else share * at)
        if ladder.starved(at, poll_s, meter):
            weights.append(ladder.climb())
    return weights


def test_the_weight_of_a_starving_container_rises_step_by_step_to_a_live_releases() -> None:
    assert raised(0.06) == [256, SERVING_WEIGHT]


@pytest.mark.parametrize(
    ("share", "weight", "poll_s"),
    [(0.5, CANDIDATE_WEIGHT, 2), (None, CANDIDATE_WEIGHT, 2), (0, SERVING_WEIGHT, 2), (0.06, CANDIDATE_WEIGHT, 0.2)],
    ids=["enough", "unknown", "highest", "waits for a disk"],
)
def test_the_weight_stays(share: float | None, weight: int, poll_s: float) -> None:
    assert raised(share, weight, poll_s) == []


@dataclass
class Slow:
    """A container that gets a share of a core in proportion to its weight, and needs `work_s` of CPU time."""

    clock: Clock
    host: HostCpu
    work_s: float
    share: float
    poll_s: float = 2.0
    weights: list[int] = field(default_factory=lambda: [CANDIDATE_WEIGHT])
    received_s: float = 0.0
    latest: float = 0.0

    def snapshot(self, at: float) -> ContainerSnapshot:
        self.clock.time += self.poll_s
        self.received_s += (at - self.latest) * self.share * self.weights[-1] / CANDIDATE_WEIGHT
        self.latest = at
        phase = "ready" if self.received_s >= self.work_s else "loading"
        return ContainerSnapshot(at, running=True, phase=phase, cpu_s=self.received_s)

    def host_cpu(self) -> HostCpu:
        return self.host

    def set_cpu_weight(self, weight: int) -> None:
        self.weights.append(weight)


def waited(container: Slow, report: Report) -> float:
    settings = Settings(root=Path(), stall_timeout_s=60, start_timeout_s=600)
    return Start(container, RELEASE, settings, container.clock, report, CANDIDATE_WEIGHT).await_phases("ready")[1]  # type: ignore[arg-type]


def test_a_candidate_on_a_saturated_host_gets_its_time() -> None:
    report = Report()
    container = Slow(Clock(), HostCpu(93, 9.8, 2), work_s=20, share=0.03)
    assert waited(container, report) < 120
    assert container.weights == [64, 256, 1024]
    assert "the host is busy" in report.lines[1]


def test_a_hung_candidate_on_a_saturated_host_is_refused_with_the_figures() -> None:
    container = Slow(Clock(), HostCpu(93, 9.8, 2), work_s=20, share=0)
    with pytest.raises(CandidateStalledError) as raised:
        waited(container, Report())
    assert container.clock.time == pytest.approx(75, abs=5)
    for figure in (
        "no progress for 60 s",
        "saturated",
        "0.0 s of CPU time",
        "weight is 1024",
        "9.8 on 2 cores",
    ):
        assert figure in raised.value.message
    assert "load of the host" in str(raised.value.remedy)


def test_a_candidate_that_waits_for_a_disk_keeps_its_weight() -> None:
    container = Slow(Clock(), HostCpu(0, 0.4, 2), work_s=3, share=0.06, poll_s=0.1)
    waited(container, Report())
    assert container.weights == [CANDIDATE_WEIGHT]
