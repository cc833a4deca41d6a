"""A client that stalls ends its own request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from service.app import Service
from service.web import patience
from service.web.patience import Patience
from tests.unit.service.support import FakeEngine, at_rest, until

pytestmark = pytest.mark.anyio

SCOPE: dict[str, Any] = {
    "type": "http", "method": "POST", "path": "/v1/audio/speech", "raw_path": b"/v1/audio/speech", "query_string": b"",
    "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    "scheme": "http", "http_version": "1.1", "root_path": "", "asgi": {"version": "3.0", "spec_version": "2.3"},
}  # fmt: skip


class Connection:
    """A client by hand: its messages, and whether it reads."""

    def __init__(self, *bodies: bytes, more: bool = False) -> None:
        self.bodies = list(bodies)
        self.more = more
        self.reads = asyncio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.bodies:
            body = self.bodies.pop(0)
            return {"type": "http.request", "body": body, "more_body": self.more or bool(self.bodies)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
        self.sent.append(message)

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def test_a_body_that_stops_arriving_gets_408(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(service, monkeypatch, body_s=0.05)
    client = Connection(b'{"input"', b": ", more=True)
    client.reads.set()
    await asyncio.wait_for(service.asgi(SCOPE | {}, client.receive, client.send), 10)
    assert client.sent[0]["status"] == 408
    assert (b"connection", b"close") in client.sent[0]["headers"]
    assert json.loads(client.content)["error"]["code"] == "timeout"
    assert at_rest(service)


async def test_a_body_that_arrives_has_more_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(service, monkeypatch, body_s=0.3)
    monkeypatch.setattr(patience, "BODY_RATE", 1)
    client = Connection(b'{"input":', b'"x"' + b" " * 1000, b"}")
    client.reads.set()
    receive = client.receive

    async def late() -> Message:
        await asyncio.sleep(0.4 if len(client.bodies) == 1 else 0)
        return await receive()

    await asyncio.wait_for(service.asgi(SCOPE | {}, late, client.send), 10)
    assert client.sent[0]["status"] == 200


@pytest.mark.parametrize("stream", [{"stream_format": "audio"}, {}], ids=["stream", "file"])
async def test_a_stalled_reader_ends_and_holds_no_slot_meanwhile(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, stream: dict[str, str]
) -> None:
    patient(service, monkeypatch, read_s=0.2)
    client = Connection(json.dumps({"input": "One. Two. Three."} | stream).encode())
    request = asyncio.ensure_future(service.asgi(SCOPE | {}, client.receive, client.send))
    await until(lambda: bool(client.sent))
    other = Connection(b'{"input": "Four."}')
    other.reads.set()
    await asyncio.wait_for(service.asgi(SCOPE | {}, other.receive, other.send), 10)
    assert other.sent[0]["status"] == 200, "the engine has one slot"
    await asyncio.wait_for(request, 10)
    assert client.content == b""
    await until(lambda: at_rest(service))
    assert "Four" in engine.spoken
    count = service.metrics.registry.get_sample_value
    labels = {"route": "/v1/audio/speech", "status": "499", "release": "test-1"}
    assert count("tts_requests_total", labels) == 1


async def test_a_large_response_is_sent_in_parts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PART", 1000)
    client = Connection(json.dumps({"input": "One. Two. Three.", "response_format": "pcm", "stream": False}).encode())
    client.reads.set()
    await service.asgi(SCOPE | {}, client.receive, client.send)
    bodies = [message["body"] for message in client.sent[1:]]
    assert (sum(map(len, bodies)), max(map(len, bodies))) == (14_400, 1000)
    assert [message.get("more_body", False) for message in client.sent[1:]] == [True] * (len(bodies) - 1) + [False]


def patient(service: Service, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Set the time limits of the service's middleware."""
    layer: Any = service.asgi
    while not isinstance(layer, Patience):
        layer = layer.app
    for name, value in seconds.items():
        monkeypatch.setattr(layer, name, value)
