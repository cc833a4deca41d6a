"""The real HAProxy: what it remembers, what it holds, whom it sends where, what it keeps to itself."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from build.drivers.engine import Engine
from build.drivers.proxy import Proxy
from build.errors import ProxyError
from tests.support.stack import Stack, crash, free_port, free_subnet, wait_for

BACKEND = Path(__file__).with_name("backend.py").read_text()
HOLD_BUDGET_S = 3


@dataclass
class Door:
    """A proxy of this module's own with two backends behind it, and at `beyond` one that is told of other machines."""

    proxy: Proxy
    url: str
    beyond: str
    containers: dict[str, Any]
    inside: str
    at_first: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/", **how: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, **how)

    def post(self, path: str = "/v1/audio/speech", body: bytes = b"short", **how: Any) -> requests.Response:
        return requests.post(self.url + path, data=body, timeout=20, **how)

    def rotate(self, to: str) -> None:
        other = "green" if to == "blue" else "blue"
        self.proxy.set_admin(f"{to}-1", "ready")
        self.proxy.set_admin(f"{other}-1", "maint")
        wait_for(f"{to} alone", lambda: self.proxy.servers()[f"{to}-1"].usable)

    def crash(self) -> None:
        crash(self.containers["proxy"])
        wait_for("its socket", self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.proxy.servers())
        except ProxyError:
            return False


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[Door]:
    client, port, beyond = stack.docker, free_port(), free_port()
    prefix = free_subnet(client)
    labels = {"com.docker.compose.project": f"{stack.project}"}
    pool = {"Config": [{"Subnet": f"{prefix}.0/24"}]}
    network = client.networks.create(f"{stack.project}-door", ipam=pool, labels=labels)

    def run(name: str, address: str, image: Any, **how: Any) -> Any:
        container = client.containers.create(image, name=f"{stack.project}-door-{name}", labels=labels, **how)
        network.connect(container, ipv4_address=address)
        client.networks.get("bridge").disconnect(container)
        container.start()
        container.reload()
        return container

    app, proxy_image = f"glm-tts-slim:{stack.releases[0]}", stack.container("proxy").image
    containers = {
        name: run(name, f"{prefix}.{host}", app, command=["python", "-c", BACKEND], environment={"NAME": name})
        for name, host in (("blue", 11), ("green", 21))
    }
    environment = {"SUBNET_PREFIX": prefix, "HOLD_BUDGET_S": str(HOLD_BUDGET_S)}
    for name, host, own_port, told in (("proxy", 2, port, {}), ("beyond", 3, beyond, {"PUBLISHED": "0.0.0.0"})):  # noqa: S104
        containers[name] = run(
            name,
            f"{prefix}.{host}",
            proxy_image,
            environment=environment | told,
            ports={"8080/tcp": ("127.0.0.1", own_port)},
            restart_policy={"Name": "always"},
            tmpfs={"/run/haproxy": "size=1m,mode=0700,uid=10002,gid=10002"},
        )
    proxy = Proxy(Engine(), containers["proxy"].name)
    url, beyond_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{beyond}"
    door = Door(proxy, url, beyond_url, containers, f"{prefix}.2:8080")
    wait_for("the proxy", door._answers)
    door.at_first = {name: server.admin for name, server in proxy.servers().items()}
    yield door
    for container in containers.values():
        container.remove(force=True, v=True)
    network.remove()


@pytest.fixture(autouse=True)
def _begin_on_blue(door: Door) -> None:
    door.proxy.hold("none")
    door.rotate("blue")


def test_without_a_saved_state_blue_is_in_rotation_and_green_is_not(door: Door) -> None:
    assert {name for name, admin in door.at_first.items() if admin != "maint"} == {"blue-1"}
    assert {"green-1", "green-4", "blue-2", "blue-1-standby"} < set(door.at_first)


@pytest.mark.parametrize("colour", ["green", "blue"])
def test_a_killed_proxy_comes_back_with_the_rotation_it_had(door: Door, colour: str) -> None:
    door.rotate(colour)
    door.crash()
    assert {door.get().text for _ in range(8)} == {colour}
    servers = door.proxy.servers()
    assert {name for name, server in servers.items() if server.admin != "maint"} == {f"{colour}-1"}


def test_weights_and_what_stands_by_outlive_a_killed_proxy_too(door: Door) -> None:
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


def share_of_green(door: Door, asked: int = 200) -> float:
    """Of requests one after the other. By chance it is hardly ever 0.15 from what the weights say."""
    return sum(door.post().text == "green" for _ in range(asked)) / asked


def test_a_newcomers_share_is_that_of_its_weight_whatever_happened_before(door: Door) -> None:
    for _ in range(4):
        door.proxy.demand_check("green-1")
        wait_for("green", lambda: door.proxy.servers()["green-1"].up)
        door.proxy.set_admins(("blue-1", 75), ("green-1", 25), ("green-1", "ready"))
        assert share_of_green(door) == pytest.approx(0.25, abs=0.15)
        door.proxy.set_admins(("green-1", 100), ("blue-1", "drain"), ("blue-1", 100))
        assert share_of_green(door, 40) == 1
        door.proxy.set_admins(("blue-1", 100), ("blue-1", "ready"), ("green-1", "maint"), ("green-1", 100))
        assert share_of_green(door, 100) == 0


def test_the_old_colour_takes_over_when_the_one_in_rotation_dies(door: Door) -> None:
    door.rotate("green")
    door.proxy.set_admins(("blue-1", "drain"), ("blue-1-standby", "ready"))
    wait_for("what stands by", lambda: door.proxy.servers()["blue-1-standby"].usable)
    assert door.get().text == "green"
    door.containers["green"].kill()
    try:
        assert {door.post().text for _ in range(5)} == {"blue"}
    finally:
        door.containers["green"].start()
        door.proxy.set_admins(("blue-1-standby", "maint"))


def test_only_the_colours_themselves_may_name_a_server_of_the_api(door: Door) -> None:
    door.proxy.set_admin("green-1", "ready")
    wait_for("both to serve", lambda: door.proxy.servers()["green-1"].usable)
    cookie = {"Cookie": "COLOUR=green-1"}
    assert {door.post(headers=cookie).text for _ in range(4)} == {"blue", "green"}
    ask = (
        "import urllib.request as r;"
        f"print(r.urlopen(r.Request('http://{door.inside}/v1/audio/speech', b'x', {cookie!r})).read().decode())"
    )
    said = [door.containers["blue"].exec_run(["python", "-c", ask]).output.decode().strip() for _ in range(4)]
    assert said == ["green"] * 4


def in_background(call: Any) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    return thread, answers


def test_held_requests_wait_and_are_answered_on_release(door: Door) -> None:
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


def test_the_hold_outlives_a_killed_proxy(door: Door) -> None:
    door.proxy.hold("all")
    door.crash()
    assert door.proxy.held().mode == "all"


def test_with_no_colour_usable_requests_wait_for_one(door: Door) -> None:
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


def test_the_page_sticks_to_its_colour_until_that_is_in_maint_and_the_api_never_sticks(door: Door) -> None:
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


def test_what_is_in_flight_on_a_draining_colour_ends_well_and_is_counted(door: Door) -> None:
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


FORGED = [("X-Forwarded-For", "198.51.100.1"), ("x-forwarded-FOR", "127.0.0.1, 10.0.0.1"), ("X-Release", "forged")]


def headers_of(url: str) -> list[tuple[str, str]]:
    """What a backend gets of a client that forges."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/v1/headers")
    for name, value in FORGED:
        connection.putheader(name, value)
    connection.endheaders()
    found = json.loads(connection.getresponse().read())
    connection.close()
    return [(name.lower(), value) for name, value in found]


def test_for_whom_it_asks_is_the_proxys_word_alone(door: Door) -> None:
    gateway = f"{door.inside.rpartition('.')[0]}.1"
    for url in (door.url, door.beyond):
        assert [value for name, value in headers_of(url) if name == "x-forwarded-for"] == [gateway]


def test_beyond_this_machine_no_release_is_named_in_either_direction(door: Door) -> None:
    assert ("x-release", "forged") not in headers_of(door.beyond)
    for path in ("/", "/v1/models", "/metrics"):
        assert "X-Release" not in requests.get(door.beyond + path, timeout=10).headers
    assert door.get().headers["X-Release"] == "of-the-backend"


def test_a_colour_learns_of_releases_there_too(door: Door) -> None:
    ask = f"import urllib.request as r; print(r.urlopen('http://{door.inside.rpartition('.')[0]}.3:8080/').headers['X-Release'])"
    assert door.containers["blue"].exec_run(["python", "-c", ask]).output.decode().strip() == "of-the-backend"


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%6detrics", "/%72eadyz", "/metrics/x"])
def test_internal_paths_are_not_reachable(door: Door, path: str) -> None:
    answer = door.get(path, headers={"X-Request-Id": "mine-1"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (404, "mine-1")


def test_a_body_over_25_mb_is_refused(door: Door) -> None:
    assert door.post(body=bytes(26_300_000)).status_code == 413
