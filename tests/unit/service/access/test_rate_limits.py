"""Rate limits of a client."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import httpx
import pytest

from service.access.rate_limits import Client, Clients
from service.app import Service
from service.errors import RateLimitedError
from service.settings import Limits, Settings
from tests.unit.service.support import FakeEngine, at_rest, entered, until

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
PROXY = "10.0.0.2"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def send(client: Client) -> None:
    with client.request():
        pass


def test_a_burst_may_use_one_minute_of_tokens_which_then_refill(clock: Clock) -> None:
    client = Client("a", Limits(requests=6), clock)
    for _ in range(6):
        send(client)
    with pytest.raises(RateLimitedError) as error:
        send(client)
    assert error.value.retry_after == 10
    clock.now += 9.9
    with pytest.raises(RateLimitedError):
        send(client)
    clock.now += 0.1
    send(client)
    clock.now += 3600
    for _ in range(6):
        send(client)
    with pytest.raises(RateLimitedError):
        send(client)


def test_a_text_above_the_limit_passes_and_is_charged_in_full(clock: Clock) -> None:
    client = Client("a", Limits(characters=60), clock)
    client.charge("x" * 120)
    with pytest.raises(RateLimitedError) as error:
        client.charge("x")
    assert error.value.retry_after == 61
    clock.now += 61
    client.charge("x")


def test_the_least_recent_client_without_requests_in_flight_is_evicted(clock: Clock) -> None:
    clients = Clients(max_clients=2, clock=clock)
    busy = clients.get("busy", Limits(requests=1))
    with busy.request():
        idle = clients.get("gone", Limits(requests=1))
        send(idle)
        clients.get("new", Limits())
        assert clients.get("busy", Limits()) is busy
    assert clients.get("gone", Limits(requests=1)) is not idle


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return dataclasses.replace(settings, proxy=PROXY, client_rpm=4, client_cpm=20, client_concurrent=2)


def client_from(service: Service, peer: str, forwarded: str | None) -> httpx.AsyncClient:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    transport = httpx.ASGITransport(service.asgi, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)


async def test_each_client_has_its_own_limit(service: Service) -> None:
    async with client_from(service, PROXY, "203.0.113.5") as one, client_from(service, PROXY, "203.0.113.6") as other:
        responses = [await one.post(SPEECH, json={"input": "x."}) for _ in range(5)]
        assert [response.status_code for response in responses] == [200] * 4 + [429]
        assert responses[-1].headers["retry-after"] == "15"
        assert responses[-1].json()["error"]["code"] == "rate_limit_exceeded"
        assert (await other.post(SPEECH, json={"input": "x."})).status_code == 200
        assert (await one.get("/v1/models")).status_code == 200, "only speech requests are limited"


async def test_x_forwarded_for_from_a_client_is_ignored(service: Service) -> None:
    statuses = []
    for number in range(5):
        async with client_from(service, "203.0.113.7", f"198.51.100.{number}") as client:
            statuses.append((await client.post(SPEECH, json={"input": "x."})).status_code)
    assert statuses[-1] == 429


async def test_one_ipv6_network_is_one_client(service: Service) -> None:
    statuses = []
    for number in range(5):
        async with client_from(service, PROXY, f"2001:db8::{number}") as client:
            statuses.append((await client.post(SPEECH, json={"input": "x."})).status_code)
    assert statuses[-1] == 429


async def test_only_valid_texts_are_charged(service: Service, engine: FakeEngine) -> None:
    async with client_from(service, PROXY, "203.0.113.5") as client:
        assert (await client.post(SPEECH, json={"input": "\x07" * 20})).status_code == 400
        assert (await client.post(SPEECH, json={"input": "x" * 20})).status_code == 200
        refused = await client.post("/api/predict", json={"data": [None, None, "xx"]})
    assert refused.status_code == 429
    assert "characters" in refused.json()["error"]["message"]
    assert len(engine.spoken) == 1


async def test_concurrent_requests_are_limited(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    async with client_from(service, PROXY, "203.0.113.5") as client:
        running = [asyncio.create_task(client.post(SPEECH, json={"input": "x."})) for _ in range(2)]
        await entered(engine)
        await until(lambda: service.traffic.requests == 2)
        refused = await client.post(SPEECH, content=json.dumps({"input": "x."}))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        engine.gate.set()
        assert [(await task).status_code for task in running] == [200, 200]
        assert (await client.post(SPEECH, json={"input": "x."})).status_code == 200
    await until(lambda: at_rest(service))
