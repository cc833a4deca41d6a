"""Order of the syntheses, and release of all slots after any error."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from service import VERSION
from service.app import Service
from service.engine import Chunk, EngineFatalError, NoMemoryError, Utterance
from service.errors import ServiceError
from service.settings import Settings
from tests.unit.service.support import PCM, FakeEngine, Say, at_rest, client_of, entered, until

pytestmark = pytest.mark.anyio


def speech(service: Service, text: str) -> asyncio.Task[Any]:
    return asyncio.create_task(service.speech.synthesize(Utterance(text, "joe")))


async def test_a_long_text_yields_between_its_sentences(service: Service, engine: FakeEngine) -> None:
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
async def test_parallel_inferences_match_the_concurrency_of_the_engine(settings: Settings, concurrency: int) -> None:
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


async def test_a_full_queue_gives_a_retry_delay(settings: Settings, engine: FakeEngine) -> None:
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


async def test_an_engine_error_fails_only_one_request(service: Service, engine: FakeEngine, say: Say) -> None:
    engine.error = RuntimeError("output device on fire")
    response = await say("x")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_failed")
    assert "fire" not in response.text
    await until(lambda: at_rest(service))
    engine.error = None
    assert (await say("x")).status_code == 200


async def test_too_little_memory_fails_only_one_request(service: Service, engine: FakeEngine, say: Say) -> None:
    engine.error = NoMemoryError("too little memory for this sentence")
    response = await say("x")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "out_of_memory")
    assert response.json()["error"]["message"] == "too little memory for this sentence"
    assert int(response.headers["retry-after"]) >= 1
    await until(lambda: at_rest(service))
    engine.error = None
    assert (await say("x")).status_code == 200


@pytest.mark.parametrize("stays", [True, False])
async def test_a_fatal_engine_error_ends_the_service(service: Service, engine: FakeEngine, stays: bool) -> None:
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
    def nothing(_utterance: Utterance) -> Sequence[Chunk]:
        return []

    monkeypatch.setattr(service.engine, "plan", nothing)
    assert (await say("x")).status_code == 500
    await until(lambda: at_rest(service))


async def test_after_the_deadline_the_client_gets_504_and_the_slot_is_released(
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
    assert await service.speech.synthesize(Utterance("y.", "joe"))
    await service.close()


async def test_a_hanging_inference_ends_the_service(settings: Settings, engine: FakeEngine) -> None:
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


async def test_silence_does_not_count_as_success(service: Service, engine: FakeEngine, say: Say) -> None:
    service.scheduler.last_success = None
    engine.level = 0
    await say("x")
    assert service.status()["last_inference_age_s"] is None
    engine.level = 9000
    await say("x")
    assert service.status()["last_inference_age_s"] is not None


async def test_a_request_cancelled_in_the_queue_does_not_start(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    first = speech(service, "first.")
    await entered(engine)
    cancelled = speech(service, "gone.")
    await until(lambda: service.scheduler.waiting == 1)
    cancelled.cancel()
    await until(lambda: service.scheduler.waiting == 0)
    engine.gate.set()
    await first
    await until(lambda: at_rest(service))
    assert engine.spoken == ["first"]
    assert service.metrics.registry.get_sample_value("tts_abandoned_total") == 1


async def test_a_cancelled_request_stops_at_the_next_sentence(service: Service, engine: FakeEngine) -> None:
    engine.gate.clear()
    cancelled = speech(service, "one. two. three.")
    await entered(engine)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    engine.gate.set()
    await until(lambda: at_rest(service))
    assert engine.spoken == ["one"]


async def test_a_slow_reader_does_not_exceed_the_deadline(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, deadline_s=0.2), engine)
    await service.lifecycle.load()
    async with service.speech.parts(Utterance("a. b.", "joe"), PCM) as parts:
        await anext(parts)
        await asyncio.sleep(0.3)  # the test needs this time to pass
        assert (await anext(parts)).samples.size
    await until(lambda: at_rest(service))
    await service.close()


async def test_a_failed_thread_start_releases_the_slot(
    service: Service, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(service.scheduler._pool, "submit", no_thread)
        assert (await say("x")).status_code == 500
    assert at_rest(service)
    assert (await say("x")).status_code == 200


async def test_the_metrics_of_two_requests(service: Service, client: httpx.AsyncClient, say: Say) -> None:
    await say("one. two.")
    await say("")
    text = (await client.get("/metrics")).text
    for line in (
        'tts_requests_total{release="test-1",route="/v1/audio/speech",status="200"} 1.0',
        'tts_requests_total{release="test-1",route="/v1/audio/speech",status="400"} 1.0',
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
