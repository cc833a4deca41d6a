"""The share of time in which threads wait for a processor, from the kernel's count."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.hardware.pressure import CpuPressure


def test_the_share_is_that_of_the_interval_since_the_last_look(tmp_path: Path) -> None:
    path, now = tmp_path / "cpu", 100.0

    def write(total_us: int) -> None:
        path.write_text(f"some avg10=99.00 avg60=1.00 avg300=0.00 total={total_us}\nfull avg10=0.00 total=7\n")

    write(1_000_000)
    pressure = CpuPressure(path, lambda: now)
    write(1_600_000)
    assert pressure.share() == 0, "no time has passed"
    now += 2
    assert pressure.share() == pytest.approx(0.3)
    write(9_000_000)
    now += 0.1
    assert pressure.share() == pytest.approx(0.3), "too short an interval says little"
    now += 9.9
    assert pressure.share() == pytest.approx(0.74)


def test_a_kernel_without_the_count_has_no_pressure(tmp_path: Path) -> None:
    now = iter(range(0, 100, 10))
    assert CpuPressure(tmp_path / "none", lambda: float(next(now))).share() == 0
