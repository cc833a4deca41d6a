from __future__ import annotations

from pathlib import Path

import pytest

from service.hardware.cpu import available, count, quotas


@pytest.mark.parametrize(
    ("affinity", "limits", "expected"),
    [(8, [], 8), (8, [2.0], 2), (8, [1.5], 2), (8, [0.25], 1), (2, [16.0], 2), (8, [4.0, 2.0], 2)],
)
def test_the_tightest_limit_applies_rounded_up(affinity: int, limits: list[float], expected: int) -> None:
    assert count(affinity, limits) == expected


def test_this_process_has_at_least_one_processor() -> None:
    assert available() >= 1


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", [1.5]),
        ({"cpu.max": "max 100000\n"}, "0::/\n", []),
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", [4.0]),
        ({"cpu/q/cpu.cfs_quota_us": "50000", "cpu/q/cpu.cfs_period_us": "100000"}, "4:cpu,x:/q\n1:pids:/\n", [0.5]),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/docker/of-the-host\n", [2.0]),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/\n", []),
        ({"cpu.max": "nonsense"}, "0::/\n", []),
        ({}, "0::/\n", []),
    ],
)  # fmt: skip
def test_quotas_of_both_cgroup_versions(tmp_path: Path, files: dict[str, str], own: str, expected: list[float]) -> None:
    (tmp_path / "own").write_text(own)
    assert list(quotas(make(tmp_path / "cgroup", files), tmp_path / "own")) == expected


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert list(quotas(tmp_path, tmp_path / "none")) == []
