"""The access line: one for each request, with all that an operator asks about it, and its ID on all other lines."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.app import Service
from service.engine import Audio, Chunk, NoMemoryError
from service.keys import new
from service.settings import Settings
from service.synthesis.in_flight import Class
from tests.unit.service.serving import served
from tests.unit.service.support import FakeEngine, Say, at_rest, entered, until
from tests.unit.service.telemetry.conftest import Log

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with served(service) as client:
        yield client


async def test_a_synthesis_is_described_in_one_line(client: httpx.AsyncClient, log: Log) -> None:
    headers = {"X-Request-Id": "id-1"}
    body = {"input": "one. two.", "response_format": "flac"}
    await client.post(SPEECH, json=body, headers=headers)
    (line,) = log.access()
    times = {name: line.pop(name) for name in list(line) if name.endswith("_seconds") and name != "tts.audio_seconds"}
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "service.access",
        "message": f"POST {SPEECH} 200",
        "request_id": "id-1",
        "http.request.method": "POST",
        "url.path": SPEECH,
        "http.route": SPEECH,
        "http.response.status_code": 200,
        "tts.client": "address 127.0.0.1",
        "tts.class": "short",
        "tts.voice": "joe",
        "tts.format": "flac",
        "tts.characters": 9,
        "tts.audio_seconds": 0.2,
        "tts.outcome": "completed",
    }
    assert set(times) == {f"tts.{step}_seconds" for step in ("queue", "inference", "encode", "first_audio", "total")}
    assert times["tts.queue_seconds"] <= times["tts.first_audio_seconds"] <= times["tts.total_seconds"]
    assert times["tts.inference_seconds"] <= times["tts.total_seconds"]
    assert " class=short voice=joe format=flac characters=9 audio_s=0.2 " in log.text.getvalue()
    assert log.text.getvalue().endswith(" outcome=completed request_id=id-1\n")


async def test_a_client_is_named_by_its_key_and_the_key_is_not_logged(
    settings: Settings, engine: FakeEngine, tmp_path: Path, log: Log
) -> None:
    key, line = new("anna", {})
    (tmp_path / "keys").write_text(f"{line}\n")
    service = Service(dataclasses.replace(settings, api_keys=tmp_path / "keys"), engine)
    await service.lifecycle.load()
    async with served(service) as client:
        await client.post(SPEECH, json={"input": "x."}, headers={"Authorization": f"Bearer {key}"})
        await client.post(SPEECH, json={"input": "x."}, headers={"Authorization": "Bearer tts_wrong"})
    await service.close()
    known, unknown = log.access()
    assert known["tts.client"] == "key anna"
    assert ' client="key anna" ' in log.text.getvalue()
    assert (unknown["http.route"], unknown["error.type"]) == ("refused", "invalid_api_key")
    assert "tts.client" not in unknown
    assert key not in log.text.getvalue()
    assert "tts_wrong" not in log.text.getvalue()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": ""}, "empty_text"),
        ({"input": "x.", "voice": "nobody"}, "no_such_voice"),
        ("{", "invalid_json"),
    ],
)
async def test_a_refusal_has_its_code(client: httpx.AsyncClient, log: Log, body: object, code: str) -> None:
    if isinstance(body, str):
        response = await client.post(SPEECH, content=body, headers={"Content-Type": "application/json"})
    else:
        response = await client.post(SPEECH, json=body)
    (line,) = log.access()
    assert line["error.type"] == code == response.json()["error"]["code"]
    assert line["http.response.status_code"] == response.status_code
    assert f" error={code} " in log.text.getvalue()


async def test_a_wait_in_the_queue_is_in_the_line(
    client: httpx.AsyncClient, service: Service, engine: FakeEngine, say: Say, log: Log
) -> None:
    engine.gate.clear()
    first = asyncio.ensure_future(say("one."))
    await entered(engine)
    second = asyncio.create_task(client.post(SPEECH, json={"input": "two."}, headers={"X-TTS-Class": "batch"}))
    await until(lambda: service.scheduler.waiting == 1)
    await asyncio.sleep(0.1)  # the test measures this time
    engine.gate.set()
    await asyncio.gather(first, second)
    waits = {line["tts.class"]: line["tts.queue_seconds"] for line in log.access()}
    assert waits["short"] < 0.1 <= waits["batch"]


async def test_a_client_that_leaves_is_logged_as_such(
    client: httpx.AsyncClient, service: Service, engine: FakeEngine, log: Log
) -> None:
    engine.gate.clear()
    engine.ungated = 1
    body = {"input": "one. two.", "response_format": "wav", "stream": True}
    async with client.stream("POST", SPEECH, json=body) as response:
        await anext(response.aiter_raw())
    await until(log.access)
    (line,) = log.access()
    assert (line["http.response.status_code"], line["tts.client_left"], line["tts.outcome"]) == (
        499,
        True,
        "unfinished",
    )
    assert " client_left=true " in log.text.getvalue()
    engine.gate.set()
    await until(lambda: at_rest(service))


async def test_a_failure_half_way_has_its_code_and_its_cause(
    client: httpx.AsyncClient, engine: FakeEngine, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = engine.speak

    def half(chunk: Chunk, *, alone: bool = False) -> Audio:
        if engine.spoken:
            raise RuntimeError("a fault")
        return whole(chunk, alone=alone)

    monkeypatch.setattr(engine, "speak", half)
    body = {"input": "one. two.", "response_format": "wav", "stream": True}
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(SPEECH, json=body, headers={"X-Request-Id": "id-2"})
    await until(log.access)
    (line,) = log.access()
    assert (line["http.response.status_code"], line["error.type"], line["tts.outcome"]) == (
        200,
        "engine_failed",
        "unfinished",
    )
    (end,) = log.of("service.web.request_context")
    assert (end["level"], end["request_id"]) == ("WARNING", "id-2")
    assert "exception.type" not in end, "the cause has been logged with its traceback"
    (cause,) = log.of("service.synthesis.scheduler")
    assert (cause["message"], cause["request_id"]) == ("the engine failed", "id-2")
    assert (cause["exception.type"], cause["exception.message"]) == ("RuntimeError", "a fault")
    assert "in half\n" in cause["exception.stacktrace"]


async def test_lines_of_worker_threads_and_warnings_have_the_id_of_their_request(
    client: httpx.AsyncClient, engine: FakeEngine, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complains(chunk: Chunk, *, alone: bool = False) -> Audio:
        del alone
        assert threading.current_thread().name.startswith("engine")
        logging.getLogger("engine").warning("strange: %s", chunk.payload[1])
        raise NoMemoryError("too long")

    monkeypatch.setattr(engine, "speak", complains)
    for number in range(3):
        headers = {"X-Request-Id": f"id-{number}"}
        await client.post(SPEECH, json={"input": f"text {number}."}, headers=headers)
    logging.getLogger("engine").warning("beside all requests")
    lines = [(entry["message"], entry.get("request_id")) for entry in log.of("engine")]
    assert lines == [
        *((f"strange: text {number}", f"id-{number}") for number in range(3)),
        ("beside all requests", None),
    ]
    assert [entry["request_id"] for entry in log.of("service.synthesis.scheduler")] == ["id-0", "id-1", "id-2"]


async def test_a_path_cannot_forge_a_line(client: httpx.AsyncClient, log: Log) -> None:
    await client.get("/a%0a2026-01-01T00:00:00.000Z INFO forged")
    (line,) = log.access()
    assert line["url.path"] == "/a\n2026-01-01T00:00:00.000Z INFO forged"
    assert len(log.text.getvalue().splitlines()) == 1


async def test_health_checks_and_files_of_the_page_are_silent(client: httpx.AsyncClient, log: Log) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        await client.get(path)
    assert not log.access()


async def test_work_of_a_tab_has_a_line_of_its_own(service: Service, log: Log) -> None:
    utterance = service.speech.utterance("one. two.", None, 1.0)

    async def work() -> float:
        return (await service.speech.synthesize(utterance)).seconds

    assert await service.traffic.for_a_tab("one. two.", work()) == pytest.approx(0.2)
    (line,) = log.access()
    assert "http.request.method" not in line
    assert (line["message"], line["http.route"], line["tts.class"]) == ("TAB / 200", "page", "short")
    assert (line["tts.voice"], line["tts.audio_seconds"], line["tts.outcome"]) == ("joe", 0.2, "completed")


async def test_an_aborted_tab_is_logged_as_cut(service: Service, engine: FakeEngine, log: Log) -> None:
    engine.gate.clear()
    utterance = service.speech.utterance("one.", None, 1.0)
    task = asyncio.create_task(service.traffic.for_a_tab("one.", service.speech.synthesize(utterance)))
    await entered(engine)
    await service.traffic.cut(Class.SHORT)
    with pytest.raises(Exception, match="being replaced"):
        await task
    (line,) = log.access()
    assert (line["http.response.status_code"], line["tts.outcome"]) == (503, "cut")
    engine.gate.set()
    await until(lambda: at_rest(service))
