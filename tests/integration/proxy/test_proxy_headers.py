"""Headers that the proxy overwrites or removes, on loopback and published beyond it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from harness.proxy_fixture import Door, opened
from harness.stack import Stack

TRACE = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", "vendor=1")]
FORGED = [("X-Forwarded-For", "198.51.100.1"), ("x-forwarded-FOR", "127.0.0.1, 10.0.0.1"), ("X-Release", "forged")]


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[Door]:
    """A proxy that is published on loopback."""
    with opened(stack) as door:
        yield door


@pytest.fixture(scope="module")
def beyond(stack: Stack) -> Iterator[Door]:
    """A proxy whose environment says that it is published on all addresses."""
    with opened(stack, "0.0.0.0") as door:  # noqa: S104 - only its environment says so
        yield door


def arrived(door: Door) -> list[tuple[str, str]]:
    """Return the headers that a backend gets from a client with forged headers and a trace."""
    connection = http.client.HTTPConnection(door.url.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/v1/headers")
    for name, value in FORGED + TRACE:
        connection.putheader(name, value)
    connection.endheaders()
    found = json.loads(connection.getresponse().read())
    connection.close()
    return [(name.lower(), value) for name, value in found]


def test_the_proxy_overwrites_a_forged_client_address(door: Door, beyond: Door) -> None:
    for proxy in (door, beyond):
        gateway = f"{proxy.inside.rpartition('.')[0]}.1"  # source address of a client on this machine
        assert [value for name, value in arrived(proxy) if name == "x-forwarded-for"] == [gateway]


def test_the_trace_of_a_client_reaches_the_service(door: Door, beyond: Door) -> None:
    for proxy in (door, beyond):
        assert set(TRACE) <= set(arrived(proxy))


def test_a_published_proxy_removes_the_release_header_in_both_directions(door: Door, beyond: Door) -> None:
    assert "x-release" not in dict(arrived(beyond))
    for path in ("/", "/v1/models", "/metrics"):
        assert "X-Release" not in beyond.get(path).headers
    assert "X-Release" not in beyond.post().headers
    assert door.get().headers["X-Release"] == "of-the-backend"


def test_requests_from_inside_a_colour_get_the_release_header(beyond: Door) -> None:
    script = f"import urllib.request as r; print(r.urlopen('http://{beyond.inside}/').headers['X-Release'])"
    assert beyond.containers["blue"].exec_run(["python", "-c", script]).output.decode().strip() == "of-the-backend"


@pytest.mark.parametrize("size", [16_500, 60_000])
def test_too_large_headers_get_an_error_of_the_api(door: Door, size: int) -> None:
    answer = door.get("/v1/models", headers={"X-Large": "a" * size})
    assert (answer.status_code, answer.headers["Content-Type"]) == (431, "application/json")
    assert answer.json()["error"]["code"] == "headers_too_large"
    assert answer.headers["X-Request-Id"]


def test_many_and_large_headers_within_the_limits_pass(door: Door) -> None:
    headers = {f"X-Header-{number}": "a" * 140 for number in range(90)}  # the backend takes 100
    assert door.get("/v1/models", headers=headers).status_code == 200
