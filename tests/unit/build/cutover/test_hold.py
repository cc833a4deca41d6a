"""The hold on a target in memory: the order of its actions, and the rollback after each failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.cutover.rules.gpu import Plan
from build.cutover.run import Run
from build.cutover.state_machine import StrategyRequest
from build.cutover.steps import memory
from build.errors import (
    CandidateExitedError,
    DrainError,
    GateRefusedError,
    HoldTooLongError,
    InsufficientGpuMemoryError,
    InterruptedByUserError,
    ProxyError,
    ReportedError,
    RollbackIncompleteError,
)
from build.model.colours import Colour, Slot
from build.model.release import Release
from build.model.states import Strategy
from tests.unit.build.cutover.test_switch import moves
from tests.unit.build.fakes import NEW, OLD, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
GIB = 2**30


@pytest.fixture
def target() -> Target:
    """10 GiB of GPU memory, of which OLD uses 8; NEW needs as much."""
    target = Target()
    for container in target.colours.values():
        container.model, container.exits_on_stop = 8 * GIB, True
    target.with_gpu(10 * GIB)
    return target


def switch(target: Target, report: Report | None = None, **options: Any) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "switch", lambda _history, _live: NEW, **options)


BEFORE_THE_LOAD = [
    "green-1 maint", "green stopped", "green removed", "app-green up",
    "gate long", "gate all", "blue-1 maint", "blue unload",
]  # fmt: skip
UP_TO_THE_LOAD = [*BEFORE_THE_LOAD, "green load"]


def test_a_hold_lasts_from_the_unload_to_the_gate_and_health_check_of_the_candidate(target: Target) -> None:
    report = Report()
    assert switch(target, report) == NEW
    assert moves(target) == [
        *UP_TO_THE_LOAD, "green-1 check", "green-1 probed", "green-1 ready", "gate none", "blue-1 shutdown",
        "blue stopped",
    ]  # fmt: skip
    assert (target.ended, target.proxy.mode, target.orders.parked) == ("retired", "none", set())
    newest = target.history()[-1]
    assert newest.strategy is Strategy.HOLD
    assert newest.facts["vram_old"] == [{"sha": OLD.sha, "flavour": "", "bytes": 8 * GIB}]
    assert newest.facts["vram"] == [{"sha": NEW.sha, "flavour": "", "bytes": 8 * GIB}]
    assert "load_s" in newest.facts
    assert newest.facts["hold_s"] is not None
    assert any("estimated from the live release" in line for line in report.lines)
    assert any("expected for an unknown time" in line for line in report.lines)


def test_the_next_hold_knows_its_expected_duration_and_memory(target: Target) -> None:
    switch(target)
    target.clock.time += 100
    report, third = Report(), Release("c" * 40, "sha256:" + "c" * 64)
    target.colours[GREEN].phase = "ready"
    target.colours[BLUE].running = True
    target.start = lambda _slot: _deploy(target, third)
    cutover.run(
        cast(Any, target), report, "switch", lambda _history, _live: third, request=StrategyRequest(Strategy.HOLD)
    )
    assert any("expected for about 6 s" in line for line in report.lines)
    assert any("of the same flavour" in line for line in report.lines)


def _deploy(target: Target, release: Release) -> None:
    blue = target.colours[BLUE]
    blue.holds, blue.phase, blue.running = release, "unloaded", True


def test_no_request_waits_when_both_releases_fit(target: Target) -> None:
    target.with_gpu(20 * GIB)
    switch(target)
    assert "gate all" not in target.calls
    assert target.history()[-1].strategy is Strategy.OVERLAP
    assert target.history()[-1].facts["vram"][0]["bytes"] == 8 * GIB


def silent(target: Target) -> None:
    target.colours[GREEN].audible = False


def out_of_memory(target: Target) -> None:
    target.colours[GREEN].can_load = False


def unreachable(target: Target) -> None:
    demand = target.proxy.demand_check

    def check(*servers: str) -> None:
        target.proxy.reachable = servers == ("blue-1",)
        demand(*servers)

    target.proxy.demand_check = check  # type: ignore[method-assign]


def stopped_by_the_operator(target: Target) -> None:
    def speak(text: str, voice: str, timeout_s: float) -> Any:
        raise InterruptedByUserError("interrupted by SIGINT")

    target.colours[GREEN].speak = speak  # type: ignore[method-assign]


FAULTS: list[tuple[Callable[[Target], None], type[ReportedError]]] = [
    (silent, GateRefusedError),
    (out_of_memory, CandidateExitedError),
    (unreachable, ProxyError),
    (stopped_by_the_operator, InterruptedByUserError),
]


@pytest.mark.parametrize(("spoil", "error"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
def test_a_failed_candidate_is_removed_before_the_old_process_reloads(
    target: Target, spoil: Callable[[Target], None], error: type[ReportedError]
) -> None:
    spoil(target)
    with pytest.raises(error) as raised:
        switch(target)
    rollback = moves(target)[moves(target).index("gate all", moves(target).index("green load")) :]
    assert rollback == [
        "gate all", "green-1 maint", "green removed",
        "blue load", "blue-1 check", "blue-1 probed", "blue-1 ready", "gate none", "green-1 maint", "green removed",
    ]  # fmt: skip
    assert any(words in raised.value.detail for words in ("last log lines", "REFUSED"))
    assert (target.ended, target.proxy.mode, target.orders.parked) == ("rolled-back", "none", set())
    assert target.live(target.survey()) is BLUE


def test_an_old_process_that_cannot_reload_stays_in_rotation_and_the_gate_opens(target: Target) -> None:
    silent(target)
    target.colours[BLUE].can_load = False
    with pytest.raises(RollbackIncompleteError, match=r"did not reload its model .* now no release serves") as raised:
        switch(target)
    assert "the candidate's audio failed the gate" in raised.value.detail
    rollback = moves(target)[moves(target).index("green removed", moves(target).index("green load")) :]
    assert rollback == ["green removed", "blue load", "blue-1 check", "blue-1 ready", "gate none"]
    assert target.proxy.mode == "none"
    assert target.proxy.servers_now["blue-1"].admin == "ready"
    assert target.ended == "held", "nothing is left for `resume` or `abort`, and the next switch may replace it"
    assert "did not reload its model" in target.history()[-1].error


def test_a_colour_that_does_not_drain_keeps_its_model_and_the_gate_opens(target: Target) -> None:
    target.colours[BLUE].work = 2
    with pytest.raises(DrainError, match="still has 2 requests after 10 s"):
        switch(target)
    assert moves(target)[4:] == [
        "gate long", "gate all", "blue-1 probed", "blue-1 ready", "gate none", "green-1 maint", "green removed",
    ]  # fmt: skip
    assert target.proxy.mode == "none"


def test_long_requests_drain_while_short_ones_still_pass(target: Target) -> None:
    blue = target.colours[BLUE]
    read, ages = blue.status, iter([9.0, 9.1, 9.2])

    def status() -> Any:
        current = read()
        age = next(ages, 0.05)
        return type(current)(phase=current.phase, sample_rate=22050, oldest_s=age)

    blue.status = status  # type: ignore[method-assign]
    switch(target)
    assert target.history()[-1].facts["long_s"] == pytest.approx(0.2, abs=0.11)


def test_an_old_process_that_does_not_free_its_memory_is_named_and_stopped(target: Target) -> None:
    report = Report()
    target.colours[BLUE].retained = 3 * GIB
    switch(target, report)
    assert moves(target)[: len(BEFORE_THE_LOAD) + 2] == [*BEFORE_THE_LOAD, "blue stopped", "green load"]
    assert any("pid 11 in app-blue (3.0 GiB)" in line for line in report.lines)


def test_a_foreign_process_that_takes_the_memory_is_named_and_the_old_process_reloads(target: Target) -> None:
    blue = target.colours[BLUE]
    control = blue.control

    def another_process_takes_it(command: str, timeout_s: float) -> str:
        assert blue.device
        error = control(command, timeout_s)
        blue.device.foreign = 2 * GIB
        return error

    blue.control = another_process_takes_it  # type: ignore[method-assign]
    with pytest.raises(InsufficientGpuMemoryError, match=r"used by pid 666 \(2.0 GiB\)"):
        switch(target)
    assert "blue stopped" not in target.calls
    assert moves(target)[-7:-2] == ["blue load", "blue-1 check", "blue-1 probed", "blue-1 ready", "gate none"]


def test_a_stopped_old_container_is_started_again(target: Target) -> None:
    target.colours[BLUE].retained = 3 * GIB
    silent(target)
    with pytest.raises(GateRefusedError):
        switch(target)
    assert "blue started" in target.calls
    assert target.live(target.survey()) is BLUE


def test_a_release_that_cannot_start_without_its_model_is_refused_before_the_hold(target: Target) -> None:
    up = target.start

    def loads_at_once(slot: Slot) -> None:
        up(slot)
        target.colours[GREEN].phase = "loading"

    target.start = loads_at_once
    with pytest.raises(InsufficientGpuMemoryError, match="predates holds"):
        switch(target)
    assert not [call for call in target.calls if call.startswith("gate")]
    assert moves(target)[-1] == "green removed"


def test_a_candidate_that_never_fits_is_refused_before_any_change(target: Target) -> None:
    target.image_labels = lambda _image: {"ai.glm-tts.vram-bytes": str(12 * GIB)}
    with pytest.raises(InsufficientGpuMemoryError, match=r"12.0 GiB \(the image's label\)"):
        switch(target)
    assert moves(target) == []
    assert target.records == []


def test_a_hold_longer_than_the_proxys_limit_must_be_forced(target: Target) -> None:
    target._append(
        cutover="w", event="begin", kind="switch", strategy="hold", colour="blue", previous=None,
        release={"sha": NEW.sha, "image": NEW.image},
    )  # fmt: skip
    target._append(cutover="w", event="done", state="loaded", facts={"load_s": 70})
    target._append(cutover="w", event="end", state="failed")
    with pytest.raises(HoldTooLongError, match="wait 76 s, longer than the proxy's limit of 60 s"):
        switch(target)
    assert moves(target) == []
    assert switch(target, request=StrategyRequest(forced=True)) == NEW


def test_without_a_visible_device_there_is_no_wait_for_memory(target: Target) -> None:
    target.colours[GREEN].device = None
    plan = Plan(Strategy.HOLD, devices=("GPU-1",), enough=9 * GIB)
    memory.await_free(Run(cast(Any, target), Report(), "x", "switch", NEW, GREEN, BLUE, plan))


def test_a_serving_candidate_finishes_its_requests_before_the_rollback(target: Target) -> None:
    append = target.journal.append

    def fails(**record: Any) -> None:
        if (record["event"], record.get("step")) == ("done", "switch"):
            raise ProxyError("the target went away")
        append(**record)

    target.journal.append = fails
    with pytest.raises(ProxyError):
        switch(target)
    assert moves(target)[len(UP_TO_THE_LOAD) :] == [
        "green-1 check", "green-1 probed", "green-1 ready", "gate none",
        "gate long", "gate all", "green-1 maint", "gate all", "green-1 maint", "green removed",
        "blue load", "blue-1 check", "blue-1 probed", "blue-1 ready", "gate none", "green-1 maint", "green removed",
    ]  # fmt: skip
