"""What the proxy believes of what clients say, and what it lets them know: on this machine alone, and beyond it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from harness.proxy_fixture import Door, opened
from harness.stack import Stack

FORGED = [("X-Forwarded-For", "198.51.100.1"), ("x-forwarded-FOR", "127.0.0.1, 10.0.0.1"), ("X-Release", "forged")]


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[Door]:
    """Told what is so: published on this machine alone."""
    with opened(stack) as door:
        yield door


@pytest.fixture(scope="module")
def beyond(stack: Stack) -> Iterator[Door]:
    """Told that it is published everywhere."""
    with opened(stack, "0.0.0.0") as door:  # noqa: S104 - it is told so
        yield door


def arrived(door: Door) -> list[tuple[str, str]]:
    """What a backend gets of a client that forges."""
    connection = http.client.HTTPConnection(door.url.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/v1/headers")
    for name, value in FORGED:
        connection.putheader(name, value)
    connection.endheaders()
    found = json.loads(connection.getresponse().read())
    connection.close()
    return [(name.lower(), value) for name, value in found]


def test_for_whom_it_asks_is_the_proxys_word_alone(door: Door, beyond: Door) -> None:
    for proxy in (door, beyond):
        gateway = f"{proxy.inside.rpartition('.')[0]}.1"  # whom the engine has ask for a client on this machine
        assert [value for name, value in arrived(proxy) if name == "x-forwarded-for"] == [gateway]


def test_beyond_this_machine_no_release_is_named_in_either_direction(door: Door, beyond: Door) -> None:
    assert "x-release" not in dict(arrived(beyond))
    for path in ("/", "/v1/models", "/metrics"):
        assert "X-Release" not in beyond.get(path).headers
    assert "X-Release" not in beyond.post().headers
    assert door.get().headers["X-Release"] == "of-the-backend"


def test_a_colour_learns_of_releases_there_too(beyond: Door) -> None:
    ask = f"import urllib.request as r; print(r.urlopen('http://{beyond.inside}/').headers['X-Release'])"
    assert beyond.containers["blue"].exec_run(["python", "-c", ask]).output.decode().strip() == "of-the-backend"
