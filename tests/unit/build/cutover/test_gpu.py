"""Choice between overlap, hold and refusal by GPU memory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from build.cutover.rules import gpu, holding
from build.cutover.rules.gpu import GpuMemoryFacts, Need, Plan, decide
from build.errors import HoldTooLongError, InsufficientGpuMemoryError
from build.model.release import Release
from build.model.states import Strategy
from build.state.history import Cutover
from build.target.gpu import GIB, Device, Process, View

RELEASE = Release("a" * 40, "sha256:" + "a" * 64)
OVERLAP, HOLD = Strategy.OVERLAP, Strategy.HOLD


def device(number: int = 0, *, total: int = 16, live: int = 0, others: int = 0, mine: bool = True) -> Device:
    """A device; sizes in GiB."""
    processes = [Process(11, live * GIB, mine), Process(99, others * GIB, mine=False)]
    return Device(
        f"GPU-{number}",
        "Fake",
        total * GIB,
        (total - live - others) * GIB,
        tuple(process for process in processes if process.used),
    )


def facts(*devices: Device, need: int | None = None, pids: frozenset[int] = frozenset()) -> GpuMemoryFacts:
    return GpuMemoryFacts(View(devices), pids, None if need is None else Need(need * GIB, "a label"), GIB // 2)


@pytest.mark.parametrize(("known", "requested", "strategy"), [
    (facts(device(total=24, live=9), need=9), None, OVERLAP),
    (facts(device(live=9), need=9), None, HOLD),
    (facts(device(live=9, mine=False), need=9, pids=frozenset({11})), None, HOLD),
    (facts(device(total=24, live=9), need=9), HOLD, HOLD),
    (facts(device(live=9)), None, HOLD),
    (facts(device(total=24, live=9)), None, OVERLAP),
    (facts(device(live=9)), OVERLAP, OVERLAP),
    (facts(device(live=9, mine=False)), None, OVERLAP),
    (GpuMemoryFacts(View(why="no NVML")), None, OVERLAP),
    (GpuMemoryFacts(View(why="no NVML")), HOLD, HOLD),
    (GpuMemoryFacts(View(why="no NVML"), need=Need(GIB, "a label"), expected=True), None, HOLD),
    (GpuMemoryFacts(View(why="no NVML"), need=Need(GIB, "a label"), expected=True), OVERLAP, OVERLAP),
    (GpuMemoryFacts(View(why="no NVML"), need=Need(GIB, "a label")), None, OVERLAP),
], ids=["fits", "fits-alone", "by-pid", "requested", "estimate", "estimate-fits", "requested-on-estimate",
        "nothing-known", "no-gpu", "no-gpu-requested", "lost-gpu", "lost-gpu-requested", "live-on-cpu"])  # fmt: skip
def test_the_strategy_follows_from_the_memory(
    known: GpuMemoryFacts, requested: Strategy | None, strategy: Strategy
) -> None:
    assert decide(known, requested).strategy is strategy


@pytest.mark.parametrize(("known", "requested", "words"), [
    (facts(device(live=9), need=16), None, ["needs 16.0 GiB (a label)", "margin of 0.5 GiB", "uses 9.0 GiB"]),
    (facts(device(live=9, others=6), need=11), None, ["other processes 6.0 GiB", "1.0 GiB free"]),
    (facts(device(live=9), need=9), OVERLAP, ["beside the live release", "7.0 GiB free"]),
], ids=["too-big", "others", "overlap-requested"])  # fmt: skip
def test_a_refusal_shows_the_memory(known: GpuMemoryFacts, requested: Strategy | None, words: list[str]) -> None:
    with pytest.raises(InsufficientGpuMemoryError) as raised:
        decide(known, requested)
    assert [word for word in words if word not in raised.value.message] == []


def test_the_margin_must_fit_too() -> None:
    assert decide(facts(device(total=18, live=9), need=9), None).strategy is HOLD


def test_the_candidate_gets_the_device_with_most_free_memory() -> None:
    plan = decide(facts(device(0, live=9), device(1, others=2), device(2, others=5), need=9), None)
    assert (plan.strategy, plan.devices, plan.assigned(1)) == (OVERLAP, ("GPU-1",), "GPU-1")
    assert not decide(facts(device(0, live=9), need=9), None).assigned(1)


def test_each_replica_gets_its_own_device() -> None:
    four = facts(device(0, live=9), device(1, live=9), device(2, others=2), device(3), need=9)
    plan = decide(replace(four, replicas=2), None)
    assert (plan.strategy, plan.devices) == (OVERLAP, ("GPU-3", "GPU-2"))
    assert [plan.assigned(number) for number in (1, 2, 3)] == ["GPU-3", "GPU-2", ""]
    plan = decide(replace(four, replicas=3), None)
    assert (plan.strategy, plan.live, plan.enough) == (HOLD, 9 * GIB, int(9.5 * GIB))
    two = facts(device(0, live=9), device(1, live=9, others=1), need=9)
    plan = decide(replace(two, replicas=2), None)
    assert (plan.strategy, set(plan.devices)) == (HOLD, {"GPU-0", "GPU-1"})
    with pytest.raises(InsufficientGpuMemoryError, match="3 replicas need 3 GPUs, and the target has 2"):
        decide(replace(two, replicas=3), None)
    assert decide(GpuMemoryFacts(View(why="no NVML"), replicas=3), None).devices == ()


def test_views_of_several_containers_are_merged() -> None:
    one, other = (
        View((device(0, live=9), Device("GPU-1", "Fake", 16, 8, (Process(22, 8, mine),)))) for mine in (False, True)
    )
    both = one.beside(other)
    assert [device.uuid for device in both.devices] == ["GPU-0", "GPU-1"]
    assert [device.held() for device in both.devices] == [9 * GIB, 8]
    assert View(why="no NVML").beside(one).devices


def test_a_plan_is_rebuilt_from_its_record() -> None:
    plan = decide(facts(device(0, live=9), device(1), need=9), None)
    assert Plan.from_record(json.loads(json.dumps(asdict(plan)))) == plan
    assert Plan.from_record({"strategy": "overlap", "device": "of an older version"}).devices == ()


def test_a_hold_uses_the_device_of_the_live_release() -> None:
    plan = decide(facts(device(0, live=9, others=6), device(1, others=8), need=9), None)
    assert (plan.strategy, plan.devices, plan.live, plan.enough) == (HOLD, ("GPU-0",), 9 * GIB, int(9.5 * GIB))


def test_a_hold_waits_for_no_more_memory_than_can_become_free() -> None:
    plan = decide(facts(device(live=9, others=7)), HOLD)
    assert plan.enough == 9 * GIB


def cutover(release: Release = RELEASE, **facts_: Any) -> Cutover:
    return Cutover("x", "switch", release, "blue", None, "t", facts=facts_)


def test_the_needed_memory_comes_from_the_label_the_own_runs_or_the_flavour() -> None:
    other = Release("b" * 40, "sha256:" + "b" * 64)
    past = [
        cutover(vram=[{"sha": RELEASE.sha, "flavour": "cuda", "bytes": 7}]),
        cutover(vram_old=[{"sha": RELEASE.sha, "flavour": "cuda", "bytes": 9}],
                vram=[{"sha": other.sha, "flavour": "cuda", "bytes": 5}]),
    ]  # fmt: skip

    def size(release: Release, flavour: str, label: str = "") -> int | None:
        need = gpu.needed(past, release, flavour, label)
        return need.size if need else None

    assert size(RELEASE, "cuda", "123") == 123
    assert size(RELEASE, "cuda") == 9
    assert size(Release("c" * 40, "sha256:c"), "cuda") == 5
    assert size(Release("c" * 40, "sha256:c"), "slim") is None


def test_the_expected_hold_follows_from_the_last_load() -> None:
    other = Release("b" * 40, "sha256:" + "b" * 64)
    past = [cutover(load_s=20.0), cutover(other, warm_s=5.0)]
    assert holding.expected_s(holding.last_load_s(past, RELEASE)) == 20 + holding.AROUND_S
    assert holding.last_load_s(past, Release("c" * 40, "sha256:c")) == 5
    assert holding.expected_s(holding.last_load_s([], RELEASE)) is None


def test_a_hold_longer_than_the_proxys_limit_is_refused_unless_forced() -> None:
    holding.check(None, 60, forced=False)
    holding.check(59, 60, forced=False)
    holding.check(61, 60, forced=True)
    with pytest.raises(HoldTooLongError):
        holding.check(61, 60, forced=False)


@pytest.mark.parametrize(("expected", "most", "budget"), [(20, 120, 35), (None, 120, 30), (20, 10, 10), (80, 120, 120)])
def test_the_drain_budget_leaves_time_for_the_load(expected: float | None, most: float, budget: float) -> None:
    assert holding.drain_budget_s(expected, 60, most_s=most) == budget


def test_the_duration_of_a_hold_is_read_from_the_journal() -> None:
    def done(step: str, second: int, **facts_: Any) -> dict[str, Any]:
        at = f"2026-01-01T00:00:{second:02}.000Z"
        return {"cutover": "x", "event": "done", "step": step, "at": at, "facts": facts_}

    records = [done("hold", 10, closed_s=2.5), done("load", 20), done("switch", 30)]
    assert holding.held_s(records, "x") == 22.5
    assert holding.held_s(records[:2], "x") is None
    set_back = [
        {**record, "at": "2020-01-01T00:00:00.000Z"} if record["step"] == "switch" else record for record in records
    ]
    assert holding.held_s(set_back, "x") is None


def test_memory_of_the_standby_release_counts_as_free() -> None:
    held = 9 * GIB
    processes = (Process(1, held, mine=True), Process(2, held, mine=False))
    gpu = Device("GPU-1", "a GPU", 24 * GIB, 24 * GIB - 2 * held, processes)
    need, live = Need(held, "the label"), frozenset({1})
    assert decide(GpuMemoryFacts(View((gpu,)), live, need), None).strategy is Strategy.HOLD
    assert decide(GpuMemoryFacts(View((gpu,)).without({2}), live, need), None).strategy is Strategy.OVERLAP
