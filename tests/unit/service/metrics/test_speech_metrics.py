"""Metrics of speech: waits, inferences, first audio, silence between pieces, encoding."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import numpy as np
import pytest

from service.app import Service
from service.engine import Audio, Chunk
from tests.unit.service.serving import scraped
from tests.unit.service.support import SAMPLE_RATE, FakeEngine, Say, entered

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"


async def test_queue_wait_first_audio_and_inference_are_timed(
    service: Service, client: httpx.AsyncClient, engine: FakeEngine, say: Say
) -> None:
    engine.gate.clear()
    began = time.monotonic()
    first = asyncio.ensure_future(say("one. two."))
    await entered(engine)
    begun = time.monotonic()
    second = asyncio.ensure_future(say("three."))
    await until_scraped(client, "tts_queue_depth", 1, priority="people")
    queued = time.monotonic()
    busy = await scraped(client)
    assert (busy("tts_jobs"), busy("tts_class_in_flight", **{"class": "short"})) == (2, 2)
    assert busy("tts_queue_capacity", priority="people") == service.settings.queue
    assert busy("tts_queue_capacity", priority="batch") == service.settings.queue // 4
    await asyncio.sleep(0.3)  # the test measures this time
    opened = time.monotonic()
    engine.gate.set()
    await asyncio.gather(first, second)
    took = time.monotonic() - began
    now = await scraped(client)
    assert now("tts_queue_wait_seconds_count", priority="people") == 2
    assert now("tts_time_to_first_audio_seconds_count", priority="people") == 2
    assert now("tts_real_time_factor_ratio_count") == 2
    assert now("tts_inference_duration_seconds_count") == 3
    assert now("tts_audio_seconds_total") == pytest.approx(0.3)
    waited, worked = opened - queued, opened - begun
    assert waited < (now("tts_queue_wait_seconds_sum", priority="people") or 0) < 2 * took, (
        "only the second request waited"
    )
    assert waited + worked < (now("tts_time_to_first_audio_seconds_sum", priority="people") or 0) < 2 * took
    factor = now("tts_real_time_factor_ratio_sum") or 0
    assert worked < 0.2 * factor < 2 * took, "the first request has 0.2 s of audio"


async def until_scraped(client: httpx.AsyncClient, name: str, value: float, **labels: str) -> None:
    """Wait until a series has this value."""
    deadline = time.monotonic() + 30
    while (now := await scraped(client))(name, **labels) != value:
        assert time.monotonic() < deadline, f"{name} is {now(name, **labels)}"


async def test_first_audio_is_recorded_before_the_end(
    client: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = threading.Event()

    def slow(chunk: Chunk, *, alone: bool = False) -> Audio:
        number, _ = chunk.payload
        assert number == 1 or on.wait(10)
        return np.full(SAMPLE_RATE, 9000, np.int16)

    monkeypatch.setattr(service.engine, "speak", slow)
    body = {"input": "x. y.", "stream_format": "audio"}
    async with client.stream("POST", SPEECH, json=body) as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        half = await scraped(client)
        assert half("tts_time_to_first_audio_seconds_count", priority="people") == 1
        assert (half("tts_audio_seconds_total"), half("tts_real_time_factor_ratio_count")) == (1, 0)
        on.set()
        async for _ in chunks:
            pass
    whole = await scraped(client)
    assert whole("tts_time_to_first_audio_seconds_count", priority="people") == 1
    assert (whole("tts_audio_seconds_total"), whole("tts_real_time_factor_ratio_count")) == (2, 1)


async def test_batch_items_do_not_mix_with_people(client: httpx.AsyncClient, say: Say) -> None:
    body = {"input": "one. two.", "stream": False}
    await client.post(SPEECH, json=body, headers={"X-TTS-Class": "batch"})
    await say("one. two.", stream=False)
    now = await scraped(client)
    for priority in ("people", "batch"):
        assert now("tts_time_to_first_audio_seconds_count", priority=priority) == 1
        assert now("tts_stream_stall_seconds_count", priority=priority) == 0, "a complete file has no gaps"


async def test_silence_between_the_pieces_of_a_stream_is_measured(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """Each piece has 0.1 s of audio. The second comes in time, the third when the gate opens."""
    engine.gate.clear()
    engine.ungated = 2
    body = {"input": "one. two. three.", "stream_format": "audio"}
    async with client.stream("POST", SPEECH, json=body) as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        await until_scraped(client, "tts_stream_stall_seconds_count", 1, priority="people")
        began = time.monotonic()
        await asyncio.sleep(0.4)  # the test measures this time
        engine.gate.set()
        async for _ in pieces:
            pass
    stalled = time.monotonic() - began
    now = await scraped(client)
    assert now("tts_stream_stall_seconds_count", priority="people") == 2
    assert now("tts_stream_stall_seconds_bucket", priority="people", le="0.0") == 1
    assert 0.2 < (now("tts_stream_stall_seconds_sum", priority="people") or 0) < stalled + 0.1


async def test_encoding_is_timed_by_format(client: httpx.AsyncClient, say: Say) -> None:
    for form in ("wav", "flac", "flac"):
        await say("x.", response_format=form)
    now = await scraped(client)
    assert now("tts_encode_duration_seconds_count", format="wav") == 1
    assert now("tts_encode_duration_seconds_count", format="flac") == 2
