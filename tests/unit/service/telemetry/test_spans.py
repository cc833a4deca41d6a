"""Traces: spans of requests as a collector receives them by OTLP over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service.app import Service
from service.settings import Settings
from tests.unit.service.serving import served
from tests.unit.service.support import FakeEngine, until
from tests.unit.service.telemetry.conftest import Log
from tests.unit.service.telemetry.test_trace_context import PARENT, SPAN, TRACE

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
STREAM = {"input": "one. two.", "stream": True}


class Collector(ThreadingHTTPServer):
    """A receiver of traces; `status` is its answer, and it answers only while `open` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.batches: list[ExportTraceServiceRequest] = []
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for batch in self.batches
            for one in batch.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.server.open.wait(30)
        if self.server.status == 200:
            self.server.batches.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
        thread.start()
        yield collector
        collector.open.set()
        collector.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def talkative() -> Iterator[None]:
    """Undo the limit of lines about a collector that is down."""
    yield
    logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").filters.clear()


@pytest.fixture
def traced(settings: Settings, collector: Collector) -> Settings:
    return dataclasses.replace(settings, otlp_endpoint=collector.url)


@contextlib.asynccontextmanager
async def running(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """Serve until the end of the block, which exports the last spans."""
    service = Service(settings, engine)
    await service.lifecycle.load()
    async with served(service) as client:
        yield client
    await service.close()


def values(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


async def test_a_request_is_a_span_with_its_steps_in_the_callers_trace(
    traced: Settings, engine: FakeEngine, collector: Collector, log: Log
) -> None:
    before = time.time_ns()
    async with running(traced, engine) as client:
        headers = {"traceparent": PARENT, "tracestate": "vendor=1", "X-Request-Id": "id-1"}
        body = {"input": "one. two.", "response_format": "flac"}
        response = await client.post(SPEECH, json=body, headers=headers)
    (request,) = [span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER]
    assert (request.trace_id.hex(), request.parent_span_id.hex(), request.trace_state) == (TRACE, SPAN, "vendor=1")
    assert request.name == f"POST {SPEECH}"
    facts = values(request)
    assert (facts["http.response.status_code"], facts["tts.voice"], facts["tts.request_id"]) == (200, "joe", "id-1")
    steps = sorted(
        (span for span in collector.spans if span is not request), key=lambda span: span.start_time_unix_nano
    )
    names = [span.name for span in steps]
    assert [names.count(step) for step in ("queue", "plan", "inference")] == [1, 1, 2]
    assert names[-1] == "encode"
    times = [before, request.start_time_unix_nano]
    for step in steps:
        assert (step.trace_id.hex(), step.parent_span_id) == (TRACE, request.span_id)
        times += [step.start_time_unix_nano, step.end_time_unix_nano]
    times += [request.end_time_unix_nano, time.time_ns()]
    assert times == sorted(times)
    assert response.headers["traceresponse"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    (line,) = log.access()
    assert (line["trace_id"], line["span_id"]) == (TRACE, request.span_id.hex())
    resource = {one.key: one.value.string_value for one in collector.batches[0].resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("glm-tts", "test-1")


async def test_a_request_without_a_caller_begins_a_trace(
    traced: Settings, engine: FakeEngine, collector: Collector
) -> None:
    async with running(traced, engine) as client:
        response = await client.post(SPEECH, json=STREAM)
        for path in ("/livez", "/metrics"):
            await client.get(path)
    (request,) = [span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER]
    assert request.parent_span_id == b""
    assert response.headers["traceresponse"].split("-")[1] == request.trace_id.hex()


async def test_the_sampling_of_the_caller_and_of_the_operator_is_respected(
    traced: Settings, engine: FakeEngine, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(traced, engine) as client:
        response = await client.post(SPEECH, json=STREAM, headers={"traceparent": PARENT[:-1] + "0"})
        assert response.headers["traceresponse"].endswith("-00")
    assert not collector.spans
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "voices-eu")
    async with running(traced, engine) as client:
        await client.post(SPEECH, json=STREAM)
        await client.post(SPEECH, json=STREAM, headers={"traceparent": PARENT})
    (request,) = [span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER]
    assert request.trace_id.hex() == TRACE
    resource = {one.key: one.value.string_value for one in collector.batches[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "voices-eu"


async def test_errors_are_marked(traced: Settings, engine: FakeEngine, collector: Collector) -> None:
    async with running(traced, engine) as client:
        engine.error = RuntimeError("a fault")
        await client.post(SPEECH, json={"input": "x."})
        await client.post(SPEECH, json={"input": ""})
    failed, refused = (span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER)
    assert (failed.status.code, values(failed)["error.type"]) == (failed.status.STATUS_CODE_ERROR, "engine_failed")
    assert (refused.status.code, values(refused)["error.type"]) == (refused.status.STATUS_CODE_UNSET, "empty_text")


async def test_a_collector_that_fails_or_hangs_touches_no_request(
    traced: Settings, engine: FakeEngine, collector: Collector, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setattr("service.telemetry.spans.CLOSE_S", 0.3)
    async with running(traced, engine) as client:
        collector.status = 500
        assert (await client.post(SPEECH, json=STREAM)).status_code == 200
        await until(lambda: log.of("opentelemetry.exporter.otlp.proto.http.trace_exporter"))
        collector.status = 200
        collector.open.clear()
        asked = collector.asked
        assert (await client.post(SPEECH, json=STREAM)).status_code == 200
        await until(lambda: collector.asked > asked)
        for _ in range(20):
            assert (await client.post(SPEECH, json=STREAM)).status_code == 200
    (lost,) = log.of("service.telemetry.spans")
    assert "lost" in lost["message"]
    assert {line["http.response.status_code"] for line in log.access()} == {200}


async def test_no_collector_at_all_touches_no_request(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.telemetry.spans.CLOSE_S", 0.3)
    nowhere = dataclasses.replace(settings, otlp_traces_endpoint="http://127.0.0.1:9/traces")
    async with running(nowhere, engine) as client:
        replies = await asyncio.gather(*(client.post(SPEECH, json=STREAM) for _ in range(5)))
    assert [reply.status_code for reply in replies] == [200] * 5
