"""The report of a cutover: values are escaped, and missing parts are named."""

from __future__ import annotations

import itertools
import random

import pytest

from build.model.states import State
from build.proxy import haproxy_log
from build.proxy.types import Request
from build.report import page, plot, timeline
from build.report.gather import TEMPLATE
from build.report.page import GateRecordings, Page
from build.state.history import Cutover
from tests.unit.build.fakes import NEW, OLD

EVIL = "<script>alert(1)</script>"
LOG = """\
2026-01-02T03:04:05.123456789Z 10.0.0.1 blue-1 0/0/1/120/130 200 5000 -- 1/1 0/0 abc "POST /v1/audio/speech HTTP/1.1"
2026-01-02T03:04:06.1Z 10.0.0.1 green-1 0/0/1/120/+90 200 5000 -- 1/1 0/0 abc "POST /v1/audio/speech HTTP/1.1"
2026-01-02T03:04:07Z 10.0.0.1 <NOSRV> 0/-1/-1/-1/5 503 217 SC 1/1 0/0 abc "POST /v1/audio/speech HTTP/1.1"
2026-01-02T03:04:08Z [WARNING] something else
"""


def cutover(**fields: object) -> Cutover:
    begun = Cutover("x1", "switch", NEW, "green", OLD, "2026-01-02T03:04:00.000Z", state=State.RETIRED)
    for name, value in fields.items():
        setattr(begun, name, value)
    return begun


def render(content: Page) -> str:
    return page.render(content, TEMPLATE.read_text())


def test_values_are_escaped() -> None:
    plan = {"reason": EVIL}
    made = cutover(error=EVIL, plan=plan, facts={"warnings": [EVIL], "vram_free": EVIL, EVIL: EVIL})
    spans = [timeline.Span(EVIL, 0, 1, EVIL, failed=True, output=EVIL)]
    recording = GateRecordings(EVIL, EVIL, f'data:"{EVIL}', "")
    html = render(
        Page(EVIL, made, spans, EVIL, EVIL, EVIL, 3 * [[EVIL, EVIL]], EVIL, [recording], traffic=EVIL, facts=made.facts)
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10


def test_an_almost_empty_report_names_the_missing_parts() -> None:
    html = render(Page("p", cutover(previous=None, state=State.PULLED)))
    for words in (
        "<dd>none</dd>",
        "in progress",
        "has no step",
        "No request ended",
        "No results of the gate",
    ):
        assert words in html
    assert "<svg" not in html
    assert "<audio" not in html


def test_the_report_has_a_table_for_canary_and_soak() -> None:
    window = {"sent": 30, "failed": 2, "own": 7, "answers": {"2xx": 18, "422": 3}, "p50_s": 0.21, "p95_s": 0.4}
    older = {"sent": 30, "failed": 0, "p50_s": 0.21, "p95_s": 0.4}  # of a journal without the clients' answers
    pair = {"candidate": window, "live": older}
    facts = {"canary": [{"share": 25, "took_s": 4, "observed": 0.262, **pair}], "soak": {"took_s": 10, **pair}}
    html = render(Page("p", cutover(facts=facts), facts=facts))
    assert "canary 25 %" in html
    assert "26 %" in html
    assert html.count("0.21 s") == 4
    assert html.count('class="bad">2<') == 2
    assert html.count("<td>7</td>") == 2
    assert html.count('<span class="word ">18 × 2xx</span>, <span class="word bad">3 × 422</span>') == 2
    assert "observed" not in html
    failed = {"failed_share": {"share": 50, **pair}}
    assert "canary 50 %, failed" in render(Page("p", cutover(facts=failed), facts=failed))
    assert "Requests by release" not in render(Page("p", cutover(facts={"soak": {"took_s": 10}}), facts={}))


def test_the_report_is_self_contained() -> None:
    drawn = plot.draw(haproxy_log.read(LOG.splitlines()), 1767323040.0, [(1.0, "switch")])
    html = render(Page("p", cutover(), plot=drawn))
    assert "http://" not in html
    assert "https://" not in html
    assert html.count("<circle") == 3


def test_the_log_has_failed_requests_too() -> None:
    found = haproxy_log.read(LOG.splitlines())
    assert [(request.server, request.took_s, request.status, request.failed) for request in found] == [
        ("blue-1", 0.13, 200, False), ("green-1", 0.09, 200, False), ("", 0.005, 503, True),
    ]  # fmt: skip


def test_every_failed_request_is_drawn() -> None:
    many = [Request(float(n), "blue-1", 0.1, 200, failed=n % 1000 == 0) for n in range(10_000)]
    drawn = plot.draw(many, 0.0, [])
    assert drawn
    assert sum(dot.kind == "failed" for dot in drawn.dots) == drawn.failed == 10
    assert len(drawn.dots) < plot.MOST_DOTS + 20
    assert all(plot.LEFT <= dot.x <= plot.WIDTH and 0 <= dot.y <= plot.HEIGHT for dot in drawn.dots)


def at(*times: float, server: str = "blue-1", took_s: float = 0.1) -> list[Request]:
    return [Request(ended, server, took_s, 200, failed=False) for ended in times]


def gaps(drawn: plot.Plot) -> list[tuple[float, float]]:
    """Return begin and end of every part of the strip of shares without a bar, in seconds of a minute."""
    starts = [*sorted({bar.x for bar in drawn.bars}), plot.RIGHT]
    ends = [plot.LEFT, *sorted({bar.x + bar.width for bar in drawn.bars})]
    second = (plot.RIGHT - plot.LEFT) / 60
    return [
        (round((end - plot.LEFT) / second), round((start - plot.LEFT) / second))
        for end, start in zip(ends, starts, strict=True)
        if start - end > second / 10
    ]


def test_irregular_traffic_leaves_no_gap_in_the_shares() -> None:
    chance = random.Random(1)
    requests = at(*(chance.uniform(0, 60) for _ in range(100)))
    drawn = plot.draw(requests + at(60.0, server="green-1"), 0.0, [])
    assert drawn
    assert gaps(drawn) == []
    assert len(drawn.bars) > 20


def test_a_long_time_without_a_request_leaves_a_gap_in_the_shares() -> None:
    drawn = plot.draw(at(*range(21), *range(50, 61)), 0.0, [])
    assert drawn
    assert gaps(drawn) == [(20, 48)]


@pytest.mark.parametrize(("took_s", "top"), [(0.002, 0.1), (0.13, 0.2), (0.9, 1), (150, 200)])
def test_the_latency_axis_ends_just_above_the_slowest_request(took_s: float, top: float) -> None:
    drawn = plot.draw(at(0.0, took_s=took_s), 0.0, [])
    assert drawn
    assert {mark.text for mark in drawn.latencies if mark.at == 0} == {f"{top:g} s"}
    assert all(after.at + plot.ROW <= before.at for before, after in itertools.pairwise(drawn.latencies))
    assert all(0 <= dot.y <= plot.HEIGHT for dot in drawn.dots)


@pytest.mark.parametrize(("steps", "rows"), [([], 1), ([(1.0, "start")], 1), ([(1.0, "start"), (2.0, "warm")], 2)])
def test_the_plot_has_room_for_the_rows_of_its_labels_only(steps: list[tuple[float, str]], rows: int) -> None:
    drawn = plot.draw(at(0.0, 60.0), 0.0, steps)
    assert drawn
    assert drawn.head == rows * plot.ROW
    assert f'<g transform="translate(0 {rows * plot.ROW})">' in render(Page("p", cutover(), plot=drawn))


def test_a_step_without_an_end_is_marked() -> None:
    at = "2026-01-02T03:04:0{}.000Z".format
    records = [
        {"event": "begin", "at": at(0)},
        {"event": "intent", "step": "start", "at": at(1)},
        {"event": "done", "state": "starting", "at": at(3)},
        {"event": "intent", "step": "warm", "at": at(4)},
    ]
    assert [(span.name, span.began_s, span.took_s, span.outcome) for span in timeline.read(records)] == [
        ("start", 1.0, 2.0, "starting"), ("warm", 4.0, None, "no end"),
    ]  # fmt: skip
