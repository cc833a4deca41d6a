"""Request classes in a drain: each has its own budget, is aborted after it, and is counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from build.console import out
from build.cutover import cutover, views
from build.cutover.rules import drain
from build.cutover.state_machine import StrategyRequest
from build.errors import ProxyError
from build.model.colours import Colour
from build.model.states import Strategy
from build.report import page
from build.report.gather import TEMPLATE
from build.report.page import Page
from build.target.container import ServiceStatus
from build.target.in_flight import Count, Counts, together
from tests.unit.build.cutover.test_switch import moves, switch
from tests.unit.build.fakes import NEW, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
BUDGETS = {"short": 10.0, "long": 60.0, "stream": 20.0, "batch": 30.0}
NONE = {kind: Count() for kind in BUDGETS}


def in_flight(target: Target, colour: Colour = BLUE, **classes: Count) -> None:
    """Set the requests in flight of a colour's service, which has counts from before the drain, too."""
    container = target.colours[colour]
    container.classes = {kind: replace(classes.get(kind, Count()), completed=100, cut=7) for kind in BUDGETS}
    container.work = sum(count.in_flight for kind, count in classes.items() if kind != "stream")
    target.settings = target.settings.model_copy(update={f"drain_{kind}_s": s for kind, s in BUDGETS.items()})


def finishing(target: Target, kind: str, at_s: float) -> None:
    """Finish all requests of a class at that time of the clock, unless they are aborted before."""
    blue, read = target.colours[BLUE], target.colours[BLUE].status

    def status() -> Any:
        count = blue.classes[kind]
        if target.clock.time >= at_s and count.in_flight:
            blue.work -= count.in_flight
            blue.classes[kind] = replace(count, in_flight=0, completed=count.completed + count.in_flight)
        return read()

    blue.status = status  # type: ignore[method-assign]


def aborts(target: Target) -> list[str]:
    return [call for call in moves(target) if "cut" in call or call in {"blue-1 maint", "blue-1 shutdown"}]


def test_a_drain_waits_for_each_class_and_aborts_nothing_that_finishes() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(3), long=Count(1), stream=Count(2, idle=2))
    finishing(target, "short", 4)
    finishing(target, "long", 50)
    switch(target, report)
    assert aborts(target)[:2] == ["blue cut batch --waiting", "blue-1 maint"]
    assert set(aborts(target)[2:]) == {"blue cut stream", "blue-1 shutdown"}
    assert target.history()[-1].facts["drain"] == {
        "short": {"completed": 3, "cut": 0, "unfinished": 0},
        "long": {"completed": 1, "cut": 0, "unfinished": 0},
        "stream": {"completed": 0, "cut": 2, "unfinished": 0},
        "batch": {"completed": 0, "cut": 0, "unfinished": 0},
    }
    assert target.history()[-1].facts["drain_s"] == pytest.approx(50)
    assert "blue: 3 short and 1 long finished, 2 streams closed, 0 aborted" in report.lines


def test_each_class_is_aborted_after_its_own_budget() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(1), long=Count(2), batch=Count(1))
    called_at: dict[str, float] = {}
    control = target.colours[BLUE].control

    def record(command: str, timeout_s: float) -> str:
        called_at.setdefault(command, target.clock.time)
        return control(command, timeout_s)

    target.colours[BLUE].control = record  # type: ignore[method-assign]
    began = target.clock.time
    switch(target, report)
    assert {command.removeprefix("cut "): at - began for command, at in called_at.items()} == {
        "batch --waiting": 0, "short": 10.5, "batch": 30.5, "long": 60.5,
    }  # fmt: skip
    assert (target.ended, moves(target)[-1]) == ("retired", "blue-1 shutdown")
    assert any("0 finished, 1 short, 2 long and 1 batch aborted" in line for line in report.lines)


def test_busy_tabs_move_after_half_their_budget_and_close_after_all_of_it() -> None:
    target = Target()
    in_flight(target, stream=Count(1, idle=0))
    moved: list[float] = []
    change = target.proxy.set_admins

    def record(*changes: tuple[str, Any]) -> None:
        if ("blue-1", "maint") in changes:
            moved.append(target.clock.time)
        change(*changes)

    target.proxy.set_admins = record  # type: ignore[method-assign]
    began = target.clock.time
    switch(target)
    assert moved == [began + 10.5]
    assert target.history()[-1].facts["drain_s"] == pytest.approx(21)
    assert target.history()[-1].facts["drain"]["stream"]["cut"] == 1


def test_requests_that_cannot_be_aborted_end_with_their_connection_and_are_counted() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(2))
    target.colours[BLUE].ignores_abort = True
    switch(target, report)
    assert moves(target)[-2:] == ["blue cut short", "blue-1 shutdown"]
    assert target.history()[-1].facts["drain"]["unknown"] == {"completed": 0, "cut": 2, "unfinished": 0}
    assert any("0 finished, 2 unknown aborted" in line for line in report.lines)
    assert target.ended == "retired"


def silent_at(target: Target, *reads: int) -> None:
    """Make the n-th status reads of the service fail."""
    blue, read, number = target.colours[BLUE], target.colours[BLUE].status, itertools.count()

    def status() -> Any:
        return ServiceStatus(error="no answer") if next(number) in reads else read()

    blue.status = status  # type: ignore[method-assign]


def test_a_busy_service_is_queried_again() -> None:
    target = Target()
    in_flight(target, short=Count(1))
    finishing(target, "short", 0.25)
    target.colours[BLUE].work = 0  # the proxy counts no session
    silent_at(target, 0, 1, 4, 5)
    switch(target)
    assert target.history()[-1].facts["drain"]["short"] == {"completed": 1, "cut": 0, "unfinished": 0}


def test_a_service_that_stopped_answering_ends_the_drain() -> None:
    target = Target()
    in_flight(target, short=Count(1))
    silent_at(target, *range(2, 100))
    switch(target)
    assert target.ended == "retired"
    assert target.history()[-1].facts["drain_s"] < BUDGETS["short"] + 5


def fails_after_the_switch(target: Target) -> None:
    append = target.journal.append

    def fails(**record: Any) -> None:
        if (record["event"], record.get("step")) == ("done", "switch"):
            raise ProxyError("the target went away")
        append(**record)

    target.journal.append = fails


@pytest.mark.parametrize("has_classes", [True, False], ids=["by class", "older release"])
def test_a_rollback_aborts_and_counts_unfinished_requests_of_the_candidate(has_classes: bool) -> None:
    target, report = Target(), Report()
    in_flight(target, GREEN, long=Count(2))
    if not has_classes:
        target.colours[GREEN].classes = {}
    fails_after_the_switch(target)
    with pytest.raises(ProxyError):
        switch(target, report)
    newest = target.history()[-1]
    assert newest.state == "rolled-back"
    assert newest.facts["drain"]["long" if has_classes else "unknown"]["cut"] == 2
    assert "green-1 shutdown" in moves(target)
    assert any(f"0 finished, 2 {'long' if has_classes else 'unknown'} aborted" in line for line in report.lines)


def hold(target: Target, report: Report) -> None:
    cutover.run(
        cast(Any, target),
        report,
        "switch",
        lambda _history, _live: NEW,
        request=StrategyRequest(Strategy.HOLD, forced=True),
    )


def a_gpu(target: Target) -> None:
    for container in target.colours.values():
        container.model, container.exits_on_stop = 8, True
    target.with_gpu(10)


def test_a_hold_aborts_batch_items_and_closes_streams() -> None:
    target, report = Target(), Report()
    a_gpu(target)
    in_flight(target, batch=Count(2), stream=Count(1, idle=1))
    hold(target, report)
    assert [call for call in moves(target) if "cut" in call or "gate" in call] == [
        "gate long", "blue cut batch", "gate all", "gate none", "blue cut stream",
    ]  # fmt: skip
    found = target.history()[-1].facts["drain"]
    assert (found["batch"]["cut"], found["stream"]["cut"]) == (2, 1)
    assert "blue: 0 finished, 1 stream closed, 2 batch aborted" in report.lines


def test_a_rolled_back_hold_aborts_and_counts_unfinished_requests_of_the_candidate() -> None:
    target, report = Target(), Report()
    a_gpu(target)
    in_flight(target, GREEN, short=Count(1), long=Count(2))
    fails_after_the_switch(target)
    with pytest.raises(ProxyError):
        hold(target, report)
    found = target.history()[-1].facts["drain"]
    assert (found["short"]["cut"], found["long"]["cut"]) == (1, 2)
    assert "green: 0 finished, 1 short and 2 long aborted" in report.lines


@pytest.mark.parametrize(
    ("waited_s", "counts", "late"),
    [
        (10, {"short": Count(1)}, []),
        (10.1, {"short": Count(1), "long": Count(1)}, ["short"]),
        (99, {"short": Count(0, completed=9), "stream": Count(2, idle=2)}, []),
        (21, {"stream": Count(2, idle=1)}, ["stream"]),
        (59, {"invented later": Count(1)}, []),
        (61, {"invented later": Count(1)}, ["invented later"]),
    ],
)
def test_a_class_is_overdue_after_its_budget(waited_s: float, counts: Counts, late: list[str]) -> None:
    assert drain.overdue(counts, waited_s, BUDGETS) == late


def test_a_restarted_service_counts_from_zero() -> None:
    before = {"short": Count(2, completed=50, cut=1)}
    assert drain.ended(before, {"short": Count(completed=3)})["short"] == {"completed": 3, "cut": 0, "unfinished": 0}


def test_counts_of_several_services_are_summed() -> None:
    assert together([{"short": Count(1, completed=2)}, {"short": Count(3), "long": Count(1)}]) == {
        "short": Count(4, completed=2), "long": Count(1),
    }  # fmt: skip
    one = {"completed": 1, "cut": 2, "unfinished": 0}
    assert drain.summed([{"long": one}, {"long": one, "short": one}]) == {
        "long": {"completed": 2, "cut": 4, "unfinished": 0}, "short": one,
    }  # fmt: skip


def shown_in_history(target: Target) -> str:
    with out.capture() as output:
        out.print(views.history(target.history(), []))
    return " ".join(output.get().split())


def shown_on_the_page(target: Target) -> str:
    newest = target.history()[-1]
    return page.render(Page("p", newest, facts=newest.facts), TEMPLATE.read_text())


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (shown_in_history, "retired 2 long and 1 batch"),
        (shown_on_the_page, '<td>long</td><td>0</td><td class="bad">2</td>'),
        (shown_on_the_page, '<td>stream</td><td>0</td><td class="">1 closed</td>'),
    ],
)
def test_history_and_report_show_the_counts(
    shown: Callable[[Target], str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "width", 250)
    target = Target()
    in_flight(target, long=Count(2), batch=Count(1), stream=Count(1, idle=1))
    switch(target)
    assert words in shown(target)
