"""The observer's windows, read from a log of the proxy: clients, the web page, and the cutover's own requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from build.cutover.rules.gpu import Plan
from build.cutover.run import Run
from build.cutover.steps.observer import QUIET_SAMPLES, Observer
from build.model.colours import Colour
from build.model.states import Strategy
from build.progress import Progress
from build.proxy import haproxy_log
from build.target.synthesis import SynthesisResponse
from tests.unit.build.fakes import NEW, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SPEECH = "POST /v1/audio/speech HTTP/1.1"
CLIENT, OWN = "203.0.113.7", "10.0.0.11"
BEGAN = 1000.0


def line(
    second: float, server: str, status: int = 200, client: str = CLIENT, end: str = "--", first: str = SPEECH
) -> str:
    """A line of the log as the engine returns it: its time, then the log-format of proxy/haproxy.cfg."""
    at = datetime.fromtimestamp(BEGAN + second, UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return f'{at}Z {client} {server} 0/0/0/87/201 {status} 35372 {end} 3/1 0/0 6f1c0d3e-an-id "{first}"'


@pytest.fixture
def target() -> Target:
    """A target that answers a range of its log, with the candidate in green."""
    target = Target()
    target.clock.time = BEGAN
    target.colours[GREEN].holds = NEW
    target.proxy.set_admins(("green-1", "ready"))
    target.proxy.requests = lambda since, until: [
        request for request in haproxy_log.read(target.log) if since <= request.ended < until
    ]
    return target


def observer(target: Target, before_s: float = 0.0) -> Observer:
    plan = Plan(Strategy.OVERLAP)
    run = Run(cast(Any, target), cast(Progress, Report()), "id", "switch", NEW, GREEN, BLUE, plan)
    return Observer(run, before_s)


def test_a_window_counts_what_clients_got_apart_from_the_cutovers_own_requests(target: Target) -> None:
    watching = observer(target)
    target.log = [
        line(0.1, "blue-1"),
        line(0.2, "green-1", 400),
        line(0.3, "green-1", 400),
        line(0.4, "green-1", 401, first="GET /v1/models HTTP/1.1"),
        line(0.5, "green-1", 503),
        line(0.6, "green-1", end="SD"),
        line(0.7, "green-1", -1, end="CH"),
        line(0.8, "green-1", 200, OWN),
        line(0.9, "blue-1", 200, OWN),
        # The page's, which stick to a colour, and one that the proxy rejected.
        line(1.0, "green-1", 404, first="GET /favicon.ico HTTP/1.1"),
        line(1.1, "blue-1", first="POST /gradio_api/queue/join? HTTP/1.1"),
        line(1.2, "<NOSRV>", 413, end="PR"),
    ]
    target.clock.time = BEGAN + 2
    windows = watching.sample()
    assert windows[GREEN].clients.answers == {"400": 2, "401": 1, "5xx": 1, "broken": 2}
    assert windows[BLUE].clients.answers == {"2xx": 1}
    assert (windows[GREEN].clients.took_s, windows[BLUE].clients.took_s) == ((), (0.201,))
    assert windows[GREEN].own.answers == windows[BLUE].own.answers == {"2xx": 1}
    assert windows[GREEN].facts() == {
        "sent": 7, "failed": 0, "own": 1, "answers": {"401": 1, "400": 2, "5xx": 1, "broken": 2}, "p50_s": 0.201,
        "p95_s": 0.201,
    }  # fmt: skip


def test_the_history_of_a_soak_is_that_of_the_old_colour(target: Target) -> None:
    # Green has an earlier release's requests from before the switch, or the candidate's in its canary.
    target.log = [line(-5, "blue-1"), line(-4, "blue-1", 400), line(-3, "green-1", 400), line(-90, "blue-1", 404)]
    watching = observer(target, before_s=60)
    target.log.append(line(1, "green-1"))
    target.clock.time = BEGAN + 2
    windows = watching.sample()
    assert windows[BLUE].clients.answers == {"2xx": 1, "400": 1}
    assert windows[GREEN].clients.answers == {"2xx": 1}
    assert windows[BLUE].sent == 2


def test_a_refused_request_of_the_cutover_is_a_failure(target: Target) -> None:
    watching = observer(target)
    target.log = [line(0.1, "green-1", 400, OWN), line(0.2, "green-1", 500, OWN)]
    target.proxy.servers_now["green-1"] = replace(target.proxy.servers_now["green-1"], total=2, errors=1)
    target.clock.time = BEGAN + 1
    assert str(watching.sample()[GREEN].counted) == "2 of 2"


def test_refused_clients_are_not_silent(target: Target) -> None:
    watching = observer(target)
    watching.down()  # no health check is pending
    spoken: list[str] = []

    def speak(_proxy: str, server: str, *_request: Any) -> SynthesisResponse:
        spoken.append(server)
        return SynthesisResponse(b"", error="HTTP 400")

    target.colours[GREEN].speak_through = speak  # type: ignore[method-assign,assignment]
    for second in range(2 * QUIET_SAMPLES):
        target.log.append(line(second + 0.5, "green-1", 400))
        target.clock.time += 1
        watching.sample()
        watching.speak_if_quiet(BLUE, GREEN)
    assert spoken == []
    for second in range(QUIET_SAMPLES):  # a monitor that sends no texts does not make clients speak
        target.log.append(line(10 + second, "green-1", first="GET /v1/models HTTP/1.1"))
        target.clock.time = BEGAN + 11 + second
        watching.sample()
        watching.speak_if_quiet(BLUE, GREEN)
    assert spoken == ["blue-1", "green-1"]
