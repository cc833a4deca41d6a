from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from service.cores import available, count, quotas
from service.engines.onnx.threads import MOST_THREADS, Room, sizes


@pytest.mark.parametrize(
    ("affinity", "limits", "expected"),
    [(8, [], 8), (8, [2.0], 2), (8, [1.5], 2), (8, [0.25], 1), (2, [16.0], 2), (8, [4.0, 2.0], 2)],
)
def test_the_tightest_limit_counts_and_a_part_of_a_processor_as_one(
    affinity: int, limits: list[float], expected: int
) -> None:
    assert count(affinity, limits) == expected


def test_this_process_has_some() -> None:
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
def test_quotas_of_both_kinds_of_cgroups(
    tmp_path: Path, files: dict[str, str], own: str, expected: list[float]
) -> None:
    (tmp_path / "own").write_text(own)
    assert list(quotas(make(tmp_path / "cgroup", files), tmp_path / "own")) == expected


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert list(quotas(tmp_path, tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("cores", "slots", "models", "expected"),
    [
        (1, 1, 1, (1,)),
        (1, 4, 1, (1,)),
        (2, 2, 1, (1, 2)),
        (2, 1, 1, (2,)),
        (2, 1, 3, (2,)),
        (8, 8, 1, (1, MOST_THREADS)),
        (8, 5, 1, (MOST_THREADS,)),
        (8, 5, 2, (1, MOST_THREADS)),
        (16, 64, 1, (1, MOST_THREADS)),
    ],
)
def test_sizes_of_sessions(cores: int, slots: int, models: int, expected: tuple[int, ...]) -> None:
    assert sizes(cores, slots, models) == expected


def test_helpers_are_for_processors_that_would_be_idle() -> None:
    room = Room(8, (1, 4))
    with room.taken("a") as first, room.taken("a") as second, room.taken("b", alone=True) as seeded:
        assert (first, second, seeded) == (4, 4, 1), "three calls and three helpers that the first two share"
        with room.taken("b") as other:
            assert other == 1, "its own three helpers would be one too many"
        with room.taken("a") as third, room.taken("a") as fourth:
            assert (third, fourth) == (4, 4)
            with room.taken("a") as fifth:
                assert fifth == 1, "five calls and three helpers have all processors"
    with room.taken("b") as alone:
        assert alone == 4, "everything was given back"


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 19])
@pytest.mark.parametrize("models", [1, 2, 5])
def test_a_full_queue_comes_to_one_thread_for_each_processor(cores: int, models: int) -> None:
    room = Room(cores, sizes(cores, cores, models))

    def enter(number: int) -> tuple[ExitStack, int]:
        stack = ExitStack()
        return stack, stack.enter_context(room.taken(f"model {number % models}"))

    running = [enter(number) for number in range(cores)]
    for number in range(cores):
        running[number][0].close()
        running[number] = enter(number)
    assert [size for _, size in running] == [1] * cores
    for stack, _ in running:
        stack.close()
