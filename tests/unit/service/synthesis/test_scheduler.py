"""Who speaks when, and that everything is given back whatever happens."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service import VERSION
from service.app import Service
from service.engine import EngineFatalError, NoMemoryError, Piece, Utterance
from service.errors import ServiceError
from service.settings import Settings
from tests.unit.service.support import FakeEngine, Say, at_rest, client_of, entered, until

pytestmark = pytest.mark.anyio


def speech(service: Service, text: str) -> asyncio.Task[Any]:
    return asyncio.create_task(service.speech.say(Utterance(text, "joe")))


async def test_a_long_text_gives_way_between_its_sentences(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    long = speech(service, "long1. long2. long3.")
    await entered(engine)
    short = [speech(service, "a."), speech(service, "b.")]
    await until(lambda: service.scheduler.waiting == 2)
    engine.gate.set()
    await asyncio.gather(long, *short)
    assert engine.spoken == ["long1", "a", "b", "long2", "long3"]
    assert service.scheduler.completed == 3


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_as_many_at_a_time_as_the_engine_has(settings: Settings, concurrency: int) -> None:
    engine = FakeEngine(concurrency)
    service = Service(settings, engine)
    await service.lifecycle.load()
    engine.gate.clear()
    jobs = [speech(service, "x.") for _ in range(5)]
    for _ in range(concurrency):
        await entered(engine)
    await until(lambda: service.scheduler.waiting == 5 - concurrency)
    assert len(service.scheduler._running) == concurrency
    engine.gate.set()
    await asyncio.gather(*jobs)
    await until(lambda: at_rest(service))
    await service.close()


async def test_a_full_queue_says_when_to_come_back(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, queue=2), engine)
    await service.lifecycle.load()
    engine.gate.clear()
    jobs = [speech(service, "x.") for _ in range(3)]
    await until(lambda: service.scheduler.waiting == 2)
    async with client_of(service) as client:
        response = await client.post("/v1/audio/speech", json={"input": "too much"})
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "queue_full"
    assert 1 <= int(response.headers["retry-after"]) <= 60
    engine.gate.set()
    await asyncio.gather(*jobs)
    await until(lambda: at_rest(service))
    await service.close()


async def test_an_engine_that_raises_costs_one_request(service: Service, engine: FakeEngine, say: Say) -> None:
    engine.error = RuntimeError("output device on fire")
    response = await say("x")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_failed")
    assert "fire" not in response.text
    await until(lambda: at_rest(service))
    engine.error = None
    assert (await say("x")).status_code == 200


async def test_too_little_memory_is_told_as_such_and_costs_one_request(
    service: Service, engine: FakeEngine, say: Say
) -> None:
    engine.error = NoMemoryError("too little memory for this sentence")
    response = await say("x")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "out_of_memory")
    assert response.json()["error"]["message"] == "too little memory for this sentence"
    assert int(response.headers["retry-after"]) >= 1
    await until(lambda: at_rest(service))
    engine.error = None
    assert (await say("x")).status_code == 200


@pytest.mark.parametrize("stays", [True, False])
async def test_a_broken_engine_ends_the_service_whoever_still_listens(
    service: Service, engine: FakeEngine, stays: bool
) -> None:
    engine.error = EngineFatalError("illegal memory access")
    engine.gate.clear()
    task = speech(service, "x.")
    await entered(engine)
    if not stays:
        task.cancel()
    engine.gate.set()
    with pytest.raises(ServiceError if stays else asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.lifecycle.failed.wait(), 5)
    assert service.status()["error"] == "the engine is broken: illegal memory access"
    await until(lambda: at_rest(service))


async def test_an_engine_without_audio_is_an_error(service: Service, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_utterance: Utterance) -> Iterator[Piece]:
        yield from ()

    monkeypatch.setattr(service.engine, "synthesize", nothing)
    assert (await say("x")).status_code == 500
    assert at_rest(service)


async def test_past_the_deadline_the_client_is_told_and_the_slot_comes_back(
    settings: Settings, engine: FakeEngine
) -> None:
    service = Service(dataclasses.replace(settings, deadline_s=0.5), engine)
    await service.lifecycle.load()
    engine.gate.clear()
    async with client_of(service) as client:
        late = [client.post("/v1/audio/speech", json={"input": "x."}) for _ in range(3)]
        responses = await asyncio.wait_for(asyncio.gather(*late), 20)
    assert [response.status_code for response in responses] == [504] * 3
    assert (service.scheduler.jobs, service.scheduler.waiting) == (0, 0)
    assert service.scheduler.stuck  # an inference cannot be interrupted: its slot is still taken
    engine.gate.set()
    await until(lambda: at_rest(service))
    assert await service.speech.say(Utterance("y.", "joe"))
    await service.close()


async def test_an_inference_that_never_returns_ends_the_service(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, deadline_s=0.05), engine)
    await service.lifecycle.load()
    engine.gate.clear()
    async with client_of(service) as client:
        assert (await client.post("/v1/audio/speech", json={"input": "x."})).status_code == 504
    await asyncio.wait_for(service.lifecycle.failed.wait(), 5)
    assert "has not returned" in str(service.status()["error"])
    engine.gate.set()
    await until(lambda: at_rest(service))
    await service.close()


async def test_silence_is_no_evidence(service: Service, engine: FakeEngine, say: Say) -> None:
    service.scheduler.last_success = None
    engine.level = 0
    await say("x")
    assert service.status()["last_inference_age_s"] is None
    engine.level = 9000
    await say("x")
    assert service.status()["last_inference_age_s"] is not None


async def test_who_has_left_before_the_start_is_not_spoken_to(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    first = speech(service, "first.")
    await entered(engine)
    gone = speech(service, "gone.")
    await until(lambda: service.scheduler.waiting == 1)
    gone.cancel()
    await until(lambda: service.scheduler.waiting == 0)
    engine.gate.set()
    await first
    await until(lambda: at_rest(service))
    assert engine.spoken == ["first"]
    assert service.metrics.registry.get_sample_value("tts_abandoned_total") == 1


async def test_who_leaves_halfway_is_left_at_the_next_sentence(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    gone = speech(service, "one. two. three.")
    await entered(engine)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    engine.gate.set()
    await until(lambda: at_rest(service))
    assert engine.spoken == ["one"]


async def test_a_client_that_reads_slowly_does_not_run_out_of_time(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, deadline_s=0.2), engine)
    await service.lifecycle.load()
    async with service.speech.pieces(Utterance("a. b.", "joe")) as pieces:
        await anext(pieces)
        await asyncio.sleep(0.3)  # the time that passes is what is tested
        assert (await anext(pieces)).size
    await until(lambda: at_rest(service))
    await service.close()


async def test_no_thread_to_be_had_gives_the_slot_back(
    service: Service, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(service.scheduler._pool, "submit", no_thread)
        assert (await say("x")).status_code == 500
    assert at_rest(service)
    assert (await say("x")).status_code == 200


async def test_what_is_measured(service: Service, client: httpx.AsyncClient, say: Say) -> None:
    await say("one. two.")
    await say("")
    text = (await client.get("/metrics")).text
    for line in (
        'tts_requests_total{release="test-1",route="/v1/audio/speech",status="200"} 1.0',
        'tts_requests_total{release="test-1",route="/v1/audio/speech",status="422"} 1.0',
        'tts_request_duration_seconds_count{release="test-1",route="/v1/audio/speech"} 2.0',
        "tts_audio_seconds_total 0.2",
        "tts_inference_duration_seconds_count 2.0",
        'tts_queue_wait_seconds_count{priority="people"} 1.0',
        'tts_queue_wait_seconds_count{priority="batch"} 0.0',
        'tts_queue_depth{priority="people"} 0.0',
        "tts_abandoned_total 0.0",
        "tts_ready 1.0",
        'tts_phase{phase="ready"} 1.0',
        'tts_phase{phase="loading"} 0.0',
        f'tts_build_info{{engine="fake",release="test-1",version="{VERSION}"}} 1.0',
    ):
        assert line in text
    assert service.scheduler.completed == 1
