"""The report of a cutover: values are escaped, and missing parts are named."""

from __future__ import annotations

from build.model.states import State
from build.proxy import haproxy_log
from build.proxy.types import Request
from build.report import page, plot, timeline
from build.report.gather import TEMPLATE
from build.report.page import Page, Take
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
    take = Take(EVIL, EVIL, f'data:"{EVIL}', "")
    html = render(
        Page(EVIL, made, spans, EVIL, EVIL, EVIL, 3 * [[EVIL, EVIL]], EVIL, [take], traffic=EVIL, facts=made.facts)
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
