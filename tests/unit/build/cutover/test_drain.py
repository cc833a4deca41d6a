"""Classes of requests while a colour drains: each has its own time, what is left of one is cut, and all are counted."""

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
    """What the colour's service has in flight when it is asked first; of earlier days it has counts, too."""
    container = target.colours[colour]
    container.classes = {kind: replace(classes.get(kind, Count()), completed=100, cut=7) for kind in BUDGETS}
    container.work = sum(count.in_flight for kind, count in classes.items() if kind != "stream")
    target.settings = target.settings.model_copy(update={f"drain_{kind}_s": s for kind, s in BUDGETS.items()})


def finishing(target: Target, kind: str, at_s: float) -> None:
    """A class whose requests are all answered at that time of the clock, unless they were cut before."""
    blue, look = target.colours[BLUE], target.colours[BLUE].status

    def status() -> Any:
        count = blue.classes[kind]
        if target.clock.time >= at_s and count.in_flight:
            blue.work -= count.in_flight
            blue.classes[kind] = replace(count, in_flight=0, completed=count.completed + count.in_flight)
        return look()

    blue.status = status  # type: ignore[method-assign]


def cuts(target: Target) -> list[str]:
    return [said for said in moves(target) if "cut" in said or said in {"blue-1 maint", "blue-1 shutdown"}]


def test_classes_that_finish_are_waited_for_and_counted_and_nothing_is_cut() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(3), long=Count(1), stream=Count(2, idle=2))
    finishing(target, "short", 4)
    finishing(target, "long", 50)
    switch(target, report)
    assert cuts(target)[:2] == ["blue cut batch --waiting", "blue-1 maint"]
    assert set(cuts(target)[2:]) == {"blue cut stream", "blue-1 shutdown"}
    assert target.history()[-1].facts["drain"] == {
        "short": {"completed": 3, "cut": 0, "unfinished": 0},
        "long": {"completed": 1, "cut": 0, "unfinished": 0},
        "stream": {"completed": 0, "cut": 2, "unfinished": 0},
        "batch": {"completed": 0, "cut": 0, "unfinished": 0},
    }
    assert target.history()[-1].facts["drain_s"] == pytest.approx(50)
    assert "blue: 3 short and 1 long finished, 2 streams closed, 0 cut" in report.lines


def test_no_class_waits_for_anothers_budget() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(1), long=Count(2), batch=Count(1))
    told: dict[str, float] = {}
    tell = target.colours[BLUE].tell

    def noted(command: str, timeout_s: float) -> str:
        told.setdefault(command, target.clock.time)
        return tell(command, timeout_s)

    target.colours[BLUE].tell = noted  # type: ignore[method-assign]
    began = target.clock.time
    switch(target, report)
    assert {command.removeprefix("cut "): at - began for command, at in told.items()} == {
        "batch --waiting": 0, "short": 10.5, "batch": 30.5, "long": 60.5,
    }  # fmt: skip
    assert (target.ended, moves(target)[-1]) == ("retired", "blue-1 shutdown")
    assert any("0 finished, 1 short, 2 long and 1 batch cut" in line for line in report.lines)


def test_tabs_that_wait_for_something_have_half_their_time_before_they_are_moved_and_then_are_closed() -> None:
    target = Target()
    in_flight(target, stream=Count(1, idle=0))
    moved: list[float] = []
    change = target.proxy.set_admins

    def noted(*changes: tuple[str, Any]) -> None:
        moved.extend([target.clock.time] * (("blue-1", "maint") in changes))
        change(*changes)

    target.proxy.set_admins = noted  # type: ignore[method-assign]
    began = target.clock.time
    switch(target)
    assert moved == [began + 10.5]
    assert target.history()[-1].facts["drain_s"] == pytest.approx(21)
    assert target.history()[-1].facts["drain"]["stream"]["cut"] == 1


def test_what_cannot_be_cut_ends_with_its_connection_and_is_counted() -> None:
    target, report = Target(), Report()
    in_flight(target, short=Count(2))
    target.colours[BLUE].deaf = True
    switch(target, report)
    assert moves(target)[-2:] == ["blue cut short", "blue-1 shutdown"]
    assert target.history()[-1].facts["drain"]["unknown"] == {"completed": 0, "cut": 2, "unfinished": 0}
    assert any("0 finished, 2 unknown cut" in line for line in report.lines)
    assert target.ended == "retired"


def silent_at(target: Target, *looks: int) -> None:
    """The service does not answer when it is asked for the n-th time."""
    blue, look, asked = target.colours[BLUE], target.colours[BLUE].status, itertools.count()

    def status() -> Any:
        return ServiceStatus(error="no answer") if next(asked) in looks else look()

    blue.status = status  # type: ignore[method-assign]


def test_a_service_that_is_too_busy_to_answer_is_asked_again() -> None:
    target = Target()
    in_flight(target, short=Count(1))
    finishing(target, "short", 0.25)
    target.colours[BLUE].work = 0  # the proxy counts nothing any more
    silent_at(target, 0, 1, 4, 5)
    switch(target)
    assert target.history()[-1].facts["drain"]["short"] == {"completed": 1, "cut": 0, "unfinished": 0}


def test_a_service_that_has_gone_meanwhile_is_not_waited_for() -> None:
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


@pytest.mark.parametrize("tells", [True, False], ids=["by class", "older release"])
def test_what_a_candidate_does_not_finish_when_traffic_goes_back_is_cut_and_counted(tells: bool) -> None:
    target, report = Target(), Report()
    in_flight(target, GREEN, long=Count(2))
    if not tells:
        target.colours[GREEN].classes = {}
    fails_after_the_switch(target)
    with pytest.raises(ProxyError):
        switch(target, report)
    newest = target.history()[-1]
    assert newest.state == "rolled-back"
    assert newest.facts["drain"]["long" if tells else "unknown"]["cut"] == 2
    assert "green-1 shutdown" in moves(target)
    assert any(f"0 finished, 2 {'long' if tells else 'unknown'} cut" in line for line in report.lines)


def hold(target: Target, report: Report) -> None:
    cutover.run(
        cast(Any, target),
        report,
        "switch",
        lambda _history, _live: NEW,
        asked=StrategyRequest(Strategy.HOLD, forced=True),
    )


def a_gpu(target: Target) -> None:
    for container in target.colours.values():
        container.model, container.stops = 8, True
    target.with_gpu(10)


def test_a_hold_has_batch_items_ask_again_and_closes_the_streams() -> None:
    target, report = Target(), Report()
    a_gpu(target)
    in_flight(target, batch=Count(2), stream=Count(1, idle=1))
    hold(target, report)
    assert [said for said in moves(target) if "cut" in said or "gate" in said] == [
        "gate long", "blue cut batch", "gate all", "gate none", "blue cut stream",
    ]  # fmt: skip
    found = target.history()[-1].facts["drain"]
    assert (found["batch"]["cut"], found["stream"]["cut"]) == (2, 1)
    assert "blue: 0 finished, 1 stream closed, 2 batch cut" in report.lines


def test_a_hold_taken_back_cuts_and_counts_what_its_candidate_does_not_finish() -> None:
    target, report = Target(), Report()
    a_gpu(target)
    in_flight(target, GREEN, short=Count(1), long=Count(2))
    fails_after_the_switch(target)
    with pytest.raises(ProxyError):
        hold(target, report)
    found = target.history()[-1].facts["drain"]
    assert (found["short"]["cut"], found["long"]["cut"]) == (1, 2)
    assert "green: 0 finished, 1 short and 2 long cut" in report.lines


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
def test_a_class_is_late_when_it_works_beyond_its_budget(waited_s: float, counts: Counts, late: list[str]) -> None:
    assert drain.overdue(counts, waited_s, BUDGETS) == late


def test_a_service_that_was_started_anew_counts_from_nothing() -> None:
    before = {"short": Count(2, completed=50, cut=1)}
    assert drain.ended(before, {"short": Count(completed=3)})["short"] == {"completed": 3, "cut": 0, "unfinished": 0}


def test_several_services_are_counted_as_one() -> None:
    assert together([{"short": Count(1, completed=2)}, {"short": Count(3), "long": Count(1)}]) == {
        "short": Count(4, completed=2), "long": Count(1),
    }  # fmt: skip
    one = {"completed": 1, "cut": 2, "unfinished": 0}
    assert drain.summed([{"long": one}, {"long": one, "short": one}]) == {
        "long": {"completed": 2, "cut": 4, "unfinished": 0}, "short": one,
    }  # fmt: skip


def shown_in_history(target: Target) -> str:
    with out.capture() as said:
        out.print(views.history(target.history(), []))
    return " ".join(said.get().split())


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
def test_the_counts_are_shown(shown: Callable[[Target], str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", 250)
    target = Target()
    in_flight(target, long=Count(2), batch=Count(1), stream=Count(1, idle=1))
    switch(target)
    assert words in shown(target)
