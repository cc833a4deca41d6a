"""The real HAProxy: saved state, hold, balancing and stickiness, internal paths."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from build.errors import ProxyError
from harness.proxy_fixture import HOLD_BUDGET_S, Door, opened
from harness.stack import Stack, wait_for


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[Door]:
    with opened(stack) as door:
        yield door


@pytest.fixture(autouse=True)
def _begin_on_blue(door: Door) -> None:
    door.proxy.hold("none")
    door.rotate("blue")


def test_without_a_saved_state_only_blue_is_in_rotation(door: Door) -> None:
    assert {name for name, admin in door.at_first.items() if admin != "maint"} == {"blue-1"}
    assert {"green-1", "green-4", "blue-2", "blue-1-standby"} < set(door.at_first)


@pytest.mark.parametrize("colour", ["green", "blue"])
def test_a_killed_proxy_restarts_with_the_same_rotation(door: Door, colour: str) -> None:
    door.rotate(colour)
    door.crash()
    assert {door.get().text for _ in range(8)} == {colour}
    servers = door.proxy.servers()
    assert {name for name, server in servers.items() if server.admin != "maint"} == {f"{colour}-1"}


def test_weights_and_backups_survive_a_killed_proxy(door: Door) -> None:
    door.proxy.set_admins(("blue-1", 75), ("green-1", 25), ("green-1", "ready"), ("blue-1-standby", "ready"))
    door.crash()
    servers = door.proxy.servers()
    assert {name: server.weight for name, server in servers.items() if name.endswith("-1")} == {
        "blue-1": 75,
        "green-1": 25,
    }
    assert servers["blue-1-standby"].admin == "ready"
    wait_for("both to serve", lambda: all(door.proxy.servers()[name].usable for name in ("blue-1", "green-1")))
    assert share_of_green(door) == pytest.approx(0.25, abs=0.15)
    door.proxy.set_admins(("blue-1", 100), ("green-1", 100), ("blue-1-standby", "maint"))


def share_of_green(door: Door, count: int = 200) -> float:
    """Return green's share of consecutive requests; by chance it hardly ever differs by 0.15 from the weights."""
    return sum(door.post().text == "green" for _ in range(count)) / count


def test_the_share_of_a_new_server_follows_from_its_weight(door: Door) -> None:
    for _ in range(4):
        door.proxy.demand_check("green-1")
        wait_for("green", lambda: door.proxy.servers()["green-1"].up)
        door.proxy.set_admins(("blue-1", 75), ("green-1", 25), ("green-1", "ready"))
        assert share_of_green(door) == pytest.approx(0.25, abs=0.15)
        door.proxy.set_admins(("green-1", 100), ("blue-1", "drain"), ("blue-1", 100))
        assert share_of_green(door, 40) == 1
        door.proxy.set_admins(("blue-1", 100), ("blue-1", "ready"), ("green-1", "maint"), ("green-1", 100))
        assert share_of_green(door, 100) == 0


def test_the_backup_takes_over_when_the_colour_in_rotation_dies(door: Door) -> None:
    door.rotate("green")
    door.proxy.set_admins(("blue-1", "drain"), ("blue-1-standby", "ready"))
    wait_for("the backup", lambda: door.proxy.servers()["blue-1-standby"].usable)
    assert door.get().text == "green"
    door.containers["green"].kill()
    try:
        assert {door.post().text for _ in range(5)} == {"blue"}
    finally:
        door.containers["green"].start()
        door.proxy.set_admins(("blue-1-standby", "maint"))


def test_a_probe_fails_for_a_hanging_or_dead_server(door: Door) -> None:
    servers, green = door.proxy.servers(), door.containers["green"]
    wait_for("both", lambda: door.proxy.probe(servers["blue-1"], servers["green-1"]))
    green.pause()
    try:
        assert not door.proxy.probe(servers["blue-1"], servers["green-1"])
        assert door.proxy.probe(servers["blue-1"])
    finally:
        green.unpause()
    green.kill()
    try:
        assert not door.proxy.probe(servers["green-1"])
    finally:
        green.start()
    wait_for("green", lambda: door.proxy.probe(servers["green-1"]))


def test_a_server_can_be_asked_as_a_client(door: Door) -> None:
    servers, green = door.proxy.servers(), door.containers["green"]
    assert door.proxy.status_for_client(servers["green-1"], "It's 100 %: 早安.", "joe", 10) == 200
    green.kill()
    try:
        assert door.proxy.status_for_client(servers["green-1"], "Good morning.", "joe", 10) == 0
    finally:
        green.start()
    wait_for("green", lambda: door.proxy.probe(servers["green-1"]))


def test_only_requests_from_inside_a_colour_can_select_a_server_by_cookie(door: Door) -> None:
    door.proxy.set_admin("green-1", "ready")
    wait_for("both to serve", lambda: door.proxy.servers()["green-1"].usable)
    cookie = {"Cookie": "COLOUR=green-1"}
    assert {door.post(headers=cookie).text for _ in range(40)} == {"blue", "green"}
    script = (
        "import urllib.request as r;"
        f"print(r.urlopen(r.Request('http://{door.inside}/v1/audio/speech', b'x', {cookie!r})).read().decode())"
    )
    answers = [door.containers["blue"].exec_run(["python", "-c", script]).output.decode().strip() for _ in range(4)]
    assert answers == ["green"] * 4


def in_background(call: Any) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    return thread, answers


def test_held_requests_wait_until_the_release(door: Door) -> None:
    door.proxy.hold("all")
    thread, answers = in_background(lambda: door.post(body=b"x" * 2_000_000))
    wait_for("the request at the gate", lambda: door.proxy.held().held == 1)
    assert answers == []
    door.proxy.hold("none")
    thread.join(10)
    assert [answer.text for answer in answers] == ["blue"]


def test_hold_long_lets_short_requests_pass(door: Door) -> None:
    door.proxy.hold("long")
    assert door.post(body=b"short").text == "blue"
    thread, answers = in_background(lambda: door.post(body=b"x" * 5000))
    wait_for("the long one at the gate", lambda: door.proxy.held().held == 1)
    door.proxy.hold("none")
    thread.join(10)
    assert answers[0].text == "blue"


def test_a_hold_ends_with_503_and_retry_after(door: Door) -> None:
    door.proxy.hold("all")
    began = time.monotonic()
    answer = door.post()
    assert time.monotonic() - began >= HOLD_BUDGET_S - 1
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["error"]["code"] == "held_too_long"


def test_the_hold_survives_a_killed_proxy(door: Door) -> None:
    door.proxy.hold("all")
    door.crash()
    assert door.proxy.held().mode == "all"


def test_the_question_for_readiness_does_not_wait(door: Door) -> None:
    assert door.get("/health").status_code == 200
    door.proxy.set_admin("blue-1", "maint")
    answer = door.get("/health")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready"), "held answers have another code"


def test_requests_wait_while_no_colour_is_usable(door: Door) -> None:
    door.proxy.set_admin("blue-1", "maint")
    thread, answers = in_background(door.post)
    wait_for("the request at the gate", lambda: door.proxy.held().held == 1)
    door.proxy.set_admin("green-1", "ready")
    thread.join(10)
    assert answers[0].text == "green"


def test_an_unknown_hold_and_an_unknown_server_are_refused(door: Door) -> None:
    with pytest.raises(ProxyError, match="none, long or all"):
        door.proxy.hold("some")  # type: ignore[arg-type]
    with pytest.raises(ProxyError, match="refused"):
        door.proxy.set_admin("red-1", "ready")


def test_the_page_sticks_to_its_colour_until_maint_and_the_api_never_sticks(door: Door) -> None:
    page = requests.Session()
    assert page.get(door.url, timeout=10).text == "blue"
    assert page.cookies.get("COLOUR") == "blue-1"
    assert "Set-Cookie" not in door.post().headers
    door.proxy.set_admin("green-1", "ready")
    door.proxy.set_admin("blue-1", "drain")
    assert {page.get(door.url, timeout=10).text for _ in range(4)} == {"blue"}
    assert {page.post(f"{door.url}/v1/audio/speech", timeout=10).text for _ in range(4)} == {"green"}
    door.proxy.set_admin("blue-1", "maint")
    assert page.get(door.url, timeout=10).text == "green"


def test_a_request_in_flight_on_a_draining_colour_finishes_and_is_counted(door: Door) -> None:
    thread, answers = in_background(lambda: door.post(headers={"X-Wait": "yes"}))
    wait_for("the request in flight", lambda: door.proxy.servers()["blue-1"].sessions == 1)
    door.proxy.set_admin("green-1", "ready")
    door.proxy.set_admin("blue-1", "drain")
    assert door.post().text == "green"
    assert door.proxy.servers()["blue-1"].sessions == 1
    door.containers["blue"].exec_run(["touch", "/tmp/go-on"])  # noqa: S108 - in its container
    thread.join(10)
    assert answers[0].text == "blue"
    assert door.proxy.servers()["blue-1"].sessions == 0


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%6detrics", "/%72eadyz", "/metrics/x"])
def test_internal_paths_are_not_reachable(door: Door, path: str) -> None:
    answer = door.get(path, headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (404, "mine-1")


def test_a_body_over_25_mb_is_refused(door: Door) -> None:
    assert door.post(body=bytes(26_300_000)).status_code == 413
