"""Requests in flight by class, the effect of a cut, and the counts of ended requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.app import Service
from service.engine import Utterance
from service.errors import DrainingError
from service.settings import Settings
from service.synthesis.in_flight import Class
from tests.unit.service.support import FakeEngine, at_rest, entered, until

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
LONG = "word " * 100 + "."
BATCH = {"X-TTS-Class": "batch"}


def in_flight(service: Service) -> dict[str, int]:
    return {kind: found["in_flight"] for kind, found in service.traffic.by_class().items() if found["in_flight"]}


def ended(service: Service, kind: Class) -> tuple[int, int, int]:
    found = service.traffic.by_class()[kind]
    return found["completed"], found["cut"], found["unfinished"]


class Client:
    """One ASGI request and the messages of its response; after `reads` messages the client stops reading.

    With `sending` the client has not sent its whole body.
    """

    def __init__(
        self,
        service: Service,
        path: str = SPEECH,
        body: dict[str, Any] | None = None,
        reads: int = 1000,
        *,
        sending: bool = False,
    ) -> None:
        self._reads = reads
        self._sending = sending
        self.messages: list[Message] = []
        self._body = json.dumps(body or {}).encode()
        self._body_sent = False
        self.leaves = asyncio.Event()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self._body))]
        scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        self.task = asyncio.ensure_future(service.asgi(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if self._body_sent:
            await self.leaves.wait()
            return {"type": "http.disconnect"}
        self._body_sent = True
        return {"type": "http.request", "body": self._body, "more_body": self._sending}

    async def _send(self, message: Message) -> None:
        if len(self.messages) == self._reads:
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def complete(self) -> bool:
        """Whether the response is complete."""
        return bool(self.messages) and not self.messages[-1].get("more_body", False)


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Page with an event stream that sends one event and stays open."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: alive\n\n", "more_body": True})
    await asyncio.Event().wait()


async def gradios_page(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, but an abort ends the stream normally, as in Gradio."""
    with contextlib.suppress(asyncio.CancelledError):
        await page(scope, receive, send)
    await send({"type": "http.response.body", "body": b""})


def test_service_and_proxy_agree_on_the_length_of_a_short_request() -> None:
    gate = re.search(r'HOLD_LONG_BYTES"\) or "(\d+)"', Path("proxy/hold.lua").read_text())
    assert gate
    assert Settings.from_env({}).long_bytes == int(gate.group(1))


async def body_of_unknown_length() -> Any:
    yield b'{"input": "x."}'


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"json": {"input": "x."}}, "short"),
        ({"json": {"input": LONG}}, "long"),
        ({"content": body_of_unknown_length, "headers": {"Content-Type": "application/json"}}, "long"),
        ({"json": {"input": LONG}, "headers": BATCH}, "batch"),
        ({"json": {"input": "x."}, "headers": {"X-TTS-Class": "other"}}, "short"),
    ],
    ids=["short", "long", "unknown", "batch", "other"],
)
async def test_length_or_header_determines_the_class_of_a_request(
    service: Service, client: httpx.AsyncClient, engine: FakeEngine, how: dict[str, Any], kind: Class
) -> None:
    engine.gate.clear()
    arguments = {name: value() if callable(value) else value for name, value in how.items()}
    request = asyncio.create_task(client.post(SPEECH, **arguments))
    await entered(engine)
    assert in_flight(service) == {kind: 1}
    engine.gate.set()
    assert (await request).status_code == 200
    assert in_flight(service) == {}
    assert ended(service, kind) == (1, 0, 0)


async def test_a_cut_request_without_a_response_gets_503_with_a_retry(
    service: Service, client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.gate.clear()
    spoken = asyncio.create_task(client.post(SPEECH, json={"input": LONG}))
    await entered(engine)
    queued = asyncio.create_task(client.post(SPEECH, json={"input": LONG, "stream_format": "audio"}))
    short = asyncio.create_task(client.post(SPEECH, json={"input": "x."}))
    await until(lambda: service.scheduler.waiting == 2)
    await service.traffic.cut(Class.LONG)
    for response in await asyncio.gather(spoken, queued):
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json()["error"]["code"] == "draining"
        assert response.headers["x-release"] == "test-1"
    assert ended(service, Class.LONG) == (0, 2, 0)
    assert in_flight(service) == {"short": 1}
    engine.gate.set()
    assert (await short).status_code == 200
    await until(lambda: at_rest(service))


async def test_a_cut_response_in_progress_is_incomplete(service: Service) -> None:
    half = Client(service, body={"input": "one. two. three." + LONG, "stream_format": "audio"}, reads=2)
    await until(lambda: len(half.messages) == 2)
    await service.traffic.cut(Class.LONG)
    await half.task
    assert half.messages[0]["status"] == 200
    assert not half.complete
    assert ended(service, Class.LONG) == (0, 1, 0)
    await until(lambda: at_rest(service))


@pytest.mark.parametrize("made", [page, gradios_page])
async def test_a_cut_event_stream_is_closed_properly(service: Service, made: ASGIApp) -> None:
    service.front.page = made
    tab = Client(service, "/gradio_api/heartbeat/x")
    await until(lambda: len(tab.messages) == 2)
    assert in_flight(service) == {"stream": 1}
    assert (service.traffic.requests, service.traffic.streams) == (0, 1)
    await service.traffic.cut(Class.STREAM)
    await tab.task
    assert tab.complete
    assert ended(service, Class.STREAM) == (0, 1, 0)
    assert ended(service, Class.SHORT) == (0, 0, 0), "the request must count only as a stream"


async def test_cutting_waiting_batch_items_spares_one_in_progress(
    service: Service, client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.gate.clear()
    under_way = asyncio.create_task(client.post(SPEECH, json={"input": "a. b."}, headers=BATCH))
    await entered(engine)
    waiting = asyncio.create_task(client.post(SPEECH, json={"input": "c."}, headers=BATCH))
    await until(lambda: service.scheduler.waiting == 1)
    await service.traffic.cut(Class.BATCH, waiting=True)
    assert (await waiting).json()["error"]["code"] == "draining"
    engine.gate.set()
    assert (await under_way).status_code == 200
    assert ended(service, Class.BATCH) == (1, 1, 0)


async def test_cut_work_of_a_tab_raises_draining_error(service: Service, engine: FakeEngine) -> None:
    service.front.page = page
    tab = Client(service, "/gradio_api/heartbeat/x")
    await until(lambda: service.traffic.streams == 1)
    await until(lambda: service.traffic.by_class()["stream"]["idle"] == 1)
    engine.gate.clear()
    work = service.speech.synthesize(Utterance(LONG, "joe"))
    task = asyncio.create_task(service.traffic.for_a_tab(LONG, work))
    await entered(engine)
    assert in_flight(service) == {"stream": 1, "long": 1}
    assert service.traffic.by_class()["stream"]["idle"] == 0, "the tab waits for a synthesis"
    await service.traffic.cut(Class.LONG)
    with pytest.raises(DrainingError):
        await task
    assert ended(service, Class.LONG) == (0, 1, 0)
    tab.task.cancel()
    engine.gate.set()
    await until(lambda: at_rest(service))


ASKED: list[tuple[str, dict[str, Any]]] = [
    (SPEECH, {"input": "One. Two."}),
    (SPEECH, {"input": "One. Two.", "stream_format": "audio"}),
    (SPEECH, {"input": "One. Two.", "stream_format": "sse"}),
    ("/api/predict", {"data": [None, None, "One. Two."]}),
]


@pytest.mark.parametrize(("path", "body"), ASKED, ids=["file", "audio", "sse", "predict"])
async def test_a_disconnected_request_counts_as_unfinished_and_stops(
    service: Service, engine: FakeEngine, path: str, body: dict[str, Any]
) -> None:
    engine.gate.clear()
    running, waiting = Client(service, path, body), Client(service, path, body)
    await entered(engine)
    await until(lambda: service.scheduler.waiting == 1)
    for client in (waiting, running):
        client.leaves.set()
        await client.task
    engine.gate.set()
    await until(lambda: at_rest(service))
    assert engine.spoken == ["One"]
    assert ended(service, Class.SHORT) == (0, 0, 2)
    assert service.metrics.abandoned._value.get() == 2


@pytest.mark.parametrize("path", [SPEECH, "/api/predict"])
async def test_a_disconnect_while_sending_counts_as_499(service: Service, path: str) -> None:
    client = Client(service, path, {"input": "One."}, sending=True)
    client.leaves.set()
    await client.task
    assert ended(service, Class.SHORT) == (0, 0, 1)
    assert at_rest(service)
    assert service.metrics.registry.get_sample_value(
        "tts_requests_total", {"route": path, "status": "499", "release": "test-1"}
    )


async def test_speech_as_events_is_not_a_tab_stream(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    engine.ungated = 1
    client = Client(service, body={"input": "One. Two.", "stream_format": "sse", "response_format": "pcm"})
    await until(lambda: len(client.messages) == 2)
    assert in_flight(service) == {"short": 1}
    assert service.traffic.requests == 1, "a drain must wait for it"
    await service.traffic.cut(Class.STREAM)
    engine.gate.set()
    await client.task
    assert client.complete
    assert b"speech.audio.done" in client.messages[-1]["body"]
    assert ended(service, Class.SHORT) == (1, 0, 0)


async def test_classes_are_measured(service: Service, client: httpx.AsyncClient) -> None:
    await client.post(SPEECH, json={"input": "x."}, headers=BATCH)
    text = (await client.get("/metrics")).text
    assert 'tts_class_requests_total{class="batch",outcome="completed"} 1.0' in text
    assert 'tts_class_in_flight{class="long"} 0.0' in text


async def test_the_documentation_describes_the_batch_header(client: httpx.AsyncClient) -> None:
    text = (await client.get("/docs")).text
    assert text.count("X-TTS-Class") == 2
    assert "draining" in text
