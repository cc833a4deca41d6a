"""Room for a model on GPUs that several projects share: who asks, who waits, who is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from build.cutover import cutover, gpu_room, plan
from build.cutover.rules.gpu import Plan
from build.cutover.state_machine import StrategyRequest
from build.errors import CandidateStalledError, InsufficientGpuMemoryError
from build.model.colours import Colour, Slot
from build.model.labels import VRAM_LABEL
from build.model.states import Strategy
from build.target.gpu import GIB, View
from build.target.synthesis import SynthesisResponse
from tests.unit.build.cutover.test_gpu import device
from tests.unit.build.fakes import NEW, Report, Target

ANY = StrategyRequest()


def needing(target: Target, size: int) -> Target:
    target.image_labels = lambda _image: {VRAM_LABEL: str(size * GIB)}
    return target


@pytest.fixture
def first() -> Target:
    """A target without a release, whose one needs 9 GiB."""
    target = needing(Target(), 9)
    target.colours[Colour.BLUE].holds = None
    target.proxy.servers_now["blue-1"] = target.proxy.servers_now["green-1"]
    return target


def on_gpu(total: int) -> Target:
    """A target with a release of 9 GiB on a GPU of this size (GiB)."""
    target = Target()
    for colour in target.colours.values():
        colour.model = 9 * GIB
    target.with_gpu(total * GIB)
    return target


def planned(target: Target, replicas: int = 1, report: Report | None = None) -> Plan:
    return plan.plan(cast(Any, target), report or Report(), NEW, None, ANY, replicas=replicas)


def test_each_replica_of_a_first_release_gets_its_own_gpu(first: Target) -> None:
    first.gpu_view = lambda _image: View((device(0), device(1, others=5), device(2, others=2)))
    chosen = planned(first, replicas=2)
    assert [chosen.assigned(number) for number in (1, 2)] == ["GPU-0", "GPU-2"]
    with pytest.raises(InsufficientGpuMemoryError, match="4 replicas need 4 GPUs, and the target has 3"):
        planned(first, replicas=4)


def test_a_first_release_is_refused_with_the_sums_if_another_project_fills_the_gpu(first: Target) -> None:
    first.gpu_view = lambda _image: View((device(0, others=10),))
    with pytest.raises(InsufficientGpuMemoryError) as raised:
        planned(first)
    for words in ("needs 9.0 GiB", "margin of 0.5 GiB", "6.0 GiB free", "other processes 10.0 GiB"):
        assert words in raised.value.message


def test_a_release_of_unknown_size_is_loaded(first: Target) -> None:
    first.image_labels = lambda _image: {}
    first.gpu_view = lambda _image: View((device(0, others=10),))
    assert planned(first).devices == ("GPU-0",)


def test_a_project_waits_while_another_one_loads_and_measures_again(first: Target) -> None:
    memory = iter([device(0), device(0, others=10)])
    first.gpu_view = lambda _image: View((next(memory),))
    first.reservations.owners = {"GPU-0": "another project"}

    def polls(every_s: float) -> Iterator[float]:
        yield 0
        first.reservations.release("another project")
        yield every_s

    first.clock.polls = polls  # type: ignore[method-assign,assignment]
    report = Report()
    with pytest.raises(InsufficientGpuMemoryError, match=r"other processes 10.0 GiB"):
        planned(first, report=report)
    assert report.lines == ["waiting for a GPU: another project is loading a model"]


def test_a_gpu_that_another_project_fills_meanwhile_is_replaced(first: Target) -> None:
    views = iter([View((device(0), device(1, others=1))), *[View((device(0, others=10), device(1, others=1)))] * 2])
    first.gpu_view = lambda _image: next(views)
    assert planned(first).devices == ("GPU-1",)
    assert first.reservations.owners == {"GPU-1": first.settings.project}


def test_the_wait_for_a_reserved_gpu_is_bounded(first: Target) -> None:
    first.gpu_view = lambda _image: View((device(0),))
    first.reservations.owners = {"GPU-0": "another project"}
    with pytest.raises(InsufficientGpuMemoryError, match="another project is loading"):
        planned(first)
    assert first.clock.time == pytest.approx(first.settings.start_timeout_s, abs=2)


@pytest.mark.parametrize("total", [40, 12], ids=["overlap", "hold"])
def test_a_switch_reserves_its_gpu_until_the_model_is_loaded(total: int) -> None:
    target = on_gpu(total)
    held: dict[str, dict[str, str]] = {}
    start, candidate = target.start, target.colours[Colour.GREEN]
    speak = candidate.speak

    def started(slot: Slot) -> None:
        held["start"] = dict(target.reservations.owners)
        start(slot)

    def spoken(text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        held["gate"] = dict(target.reservations.owners)
        return speak(text, voice, timeout_s)

    target.start, candidate.speak = started, spoken  # type: ignore[method-assign]
    cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: NEW)
    assert held == {"start": {"GPU-1": target.settings.project}, "gate": {}}
    assert target.history()[-1].strategy == (Strategy.OVERLAP if total == 40 else Strategy.HOLD)


def test_a_failed_switch_leaves_no_reservation() -> None:
    target = on_gpu(40)
    target.colours[Colour.GREEN].phase = "loading"
    with pytest.raises(CandidateStalledError):
        cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: NEW)
    assert target.reservations.requests
    assert target.reservations.owners == {}


def enter_alone(target: Target) -> None:
    with gpu_room.alone(cast(Any, target), Report(), NEW):
        pass


def test_a_gate_beside_the_live_release_asks_for_room() -> None:
    target = needing(on_gpu(20), 9)
    with gpu_room.alone(cast(Any, target), Report(), NEW) as gpu:
        assert gpu == ""
        assert list(target.reservations.owners) == ["GPU-1"]
    assert target.reservations.owners == {}
    needing(target, 11)
    with pytest.raises(InsufficientGpuMemoryError, match=r"needs 11.0 GiB .*\n.*11.0 GiB free, .* uses 9.0 GiB"):
        enter_alone(target)
    assert target.reservations.owners == {}


def test_an_unknown_release_is_taken_to_need_as_much_as_the_live_one() -> None:
    target = on_gpu(16)
    with pytest.raises(InsufficientGpuMemoryError, match="estimated from the live release"):
        enter_alone(target)
