"""Metrics of requests, speech, the engine and the process, over real HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import threading
import time
from random import Random

import httpx
import numpy as np
import psutil
import pytest
from fastapi import FastAPI

from service import VERSION
from service.app import Service
from service.engine import NoMemoryError
from service.engines.embedded_voice import trim_memory
from service.settings import Settings
from service.synthesis.lifecycle import Phase
from tests.unit.service.serving import Scrape, scraped, served
from tests.unit.service.support import FakeEngine, Say, at_rest, until

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
MIB = 2**20
METHODS = ("GET", "POST", "PUT", "OPTIONS", "BREW")


async def rejected(client: httpx.AsyncClient) -> dict[str, float]:
    reasons = ("queue_full", "deadline", "rate_limit", "not_ready", "batch")
    now = await scraped(client)
    return {reason: now("tts_rejected_total", reason=reason) or 0 for reason in reasons}


async def test_requests_are_counted_by_route_status_and_release(client: httpx.AsyncClient, say: Say) -> None:
    await say("x.")
    await say("")
    await client.get("/livez")
    now = await scraped(client)
    assert now("tts_requests_total", route=SPEECH, status="200", release="test-1") == 1
    assert now("tts_requests_total", route=SPEECH, status="400", release="test-1") == 1
    assert now("tts_request_duration_seconds_count", route=SPEECH, release="test-1") == 2
    assert now("tts_build_info", release="test-1", engine="fake", version=VERSION) == 1
    assert not [labels for name, labels in now.series if "livez" in str(labels)], "health checks must not be counted"


async def test_unknown_paths_create_no_series(service: Service, client: httpx.AsyncClient) -> None:
    page = FastAPI(openapi_url=None)
    page.get("/assets/{path:path}")(lambda path: path)
    service.front.page = page
    random = Random(1)

    async def strange(prefixes: tuple[str, ...]) -> Scrape:
        for _ in range(60):
            path = random.choice(prefixes) + "".join(random.choices(("ab", "/", "%20", "%C3%A9", "..", "%2F"), k=20))
            await client.request(random.choice(METHODS), client.base_url.copy_with(raw_path=path.encode()))
        return await scraped(client)

    prefixes = ("/", "/v1/", f"{SPEECH}/", "/api/", "/assets/", "/gradio_api/", "/metrics/", "//")
    await strange(prefixes)
    for method in METHODS:
        for path in ("/x", "/assets/x", SPEECH, "/v1/models", "/gradio_api/x"):
            await client.request(method, path)
    known = await scraped(client)
    repeated = await strange(prefixes)
    assert set(repeated.series) == set(known.series)
    routes = {labels["route"] for labels in (dict(labels) for _, labels in repeated.series) if "route" in labels}
    assert routes == {"page", "unmatched", SPEECH, "/v1/models"}


async def test_errors_are_counted_by_code(client: httpx.AsyncClient, engine: FakeEngine, say: Say) -> None:
    await say("")
    await say("x.", voice="nobody")
    engine.error = RuntimeError("a fault")
    await say("x.")
    await client.get("/nowhere")
    now = await scraped(client)
    counts = {dict(labels)["code"]: value for (name, labels), value in now.series.items() if name == "tts_errors_total"}
    assert counts == {"empty_text": 1, "no_such_voice": 1, "engine_failed": 1, "not_found": 1}


async def test_rejections_are_counted_by_reason(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, queue=1), engine)
    async with served(service) as client:

        def send() -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post(SPEECH, json={"input": "x."}))

        assert await rejected(client) == {"queue_full": 0, "deadline": 0, "rate_limit": 0, "not_ready": 0, "batch": 0}
        assert (await send()).status_code == 503
        await service.lifecycle.load()
        engine.gate.clear()
        taken = [send(), send()]
        await until(lambda: (service.scheduler.jobs, service.scheduler.waiting) == (2, 1))
        assert (await send()).status_code == 429
        engine.gate.set()
        assert [response.status_code for response in await asyncio.gather(*taken)] == [200, 200]
        assert await rejected(client) == {"queue_full": 1, "deadline": 0, "rate_limit": 0, "not_ready": 1, "batch": 0}
    await service.close()


async def test_missed_deadlines_are_counted(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, deadline_s=0.1), engine)
    await service.lifecycle.load()
    engine.gate.clear()
    async with served(service) as client:
        late = [client.post(SPEECH, json={"input": "x."}) for _ in range(2)]
        assert [response.status_code for response in await asyncio.gather(*late)] == [504, 504]
        assert await rejected(client) == {"queue_full": 0, "deadline": 2, "rate_limit": 0, "not_ready": 0, "batch": 0}
    engine.gate.set()
    await until(lambda: at_rest(service))
    await service.close()


@pytest.mark.parametrize("limits", [{"client_rpm": 1}, {"client_cpm": 2}, {"client_concurrent": 1}], ids=str)
async def test_rate_limited_requests_are_counted(
    settings: Settings, engine: FakeEngine, limits: dict[str, int]
) -> None:
    service = Service(dataclasses.replace(settings, **limits), engine)  # type: ignore[arg-type]
    await service.lifecycle.load()
    engine.gate.clear()
    async with served(service) as client:
        taken = asyncio.create_task(client.post(SPEECH, json={"input": "x."}))
        await until(lambda: service.scheduler.jobs == 1)
        assert (await client.post(SPEECH, json={"input": "x."})).status_code == 429
        assert await rejected(client) == {"queue_full": 0, "deadline": 0, "rate_limit": 1, "not_ready": 0, "batch": 0}
        engine.gate.set()
        assert (await taken).status_code == 200
    await service.close()


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's error."""


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("CUDA out of memory"), OSError("no file")])
async def test_loads_are_counted_by_outcome(settings: Settings, engine: FakeEngine, error: Exception) -> None:
    engine.load_error = error
    began = time.time()
    failed, loaded = Service(settings, engine), Service(settings, FakeEngine())
    await failed.lifecycle.load()
    await loaded.lifecycle.load()
    async with served(failed) as one, served(loaded) as other:
        bad, good = await scraped(one), await scraped(other)
    outcomes = [
        [now("tts_engine_loads_total", outcome=outcome) for outcome in ("success", "failure")] for now in (good, bad)
    ]
    assert outcomes == [[1, 0], [0, 1]]
    assert 0 < (good("tts_engine_load_duration_seconds") or 0) <= time.time() - began
    assert bad("tts_engine_out_of_memory_total") == (0 if isinstance(error, OSError) else 1)
    assert bad("tts_last_success_timestamp_seconds") == 0
    assert began <= (good("tts_last_success_timestamp_seconds") or 0) <= time.time()
    assert bad("tts_phase", phase="failed") == 1
    await loaded.close()


async def test_inferences_out_of_memory_are_counted(client: httpx.AsyncClient, engine: FakeEngine, say: Say) -> None:
    errors = (RuntimeError("a fault"), OutOfMemoryError("of 80 GiB"), MemoryError(), NoMemoryError("for a sentence"))
    for so_far, error in enumerate(errors):
        engine.error = error
        assert (await say("x.")).status_code == (503 if isinstance(error, NoMemoryError) else 500)
        assert (await scraped(client))("tts_engine_out_of_memory_total") == so_far


async def test_only_audible_speech_counts_as_success(client: httpx.AsyncClient, engine: FakeEngine, say: Say) -> None:
    name = "tts_last_success_timestamp_seconds"
    ready = (await scraped(client))(name)
    engine.level = 0
    await say("x.")
    assert (await scraped(client))(name) == ready
    engine.level = 9000
    before = time.time()
    await say("x.")
    assert before <= ((await scraped(client))(name) or 0) <= time.time()


async def test_growth_of_memory_is_measured(client: httpx.AsyncClient, service: Service) -> None:
    name, arrays = "tts_process_resident_memory_growth_bytes", []
    trim_memory()  # otherwise the heap may shrink by memory that other tests have freed
    at_first = await scraped(client)
    arrays.append(np.ones(64 * MIB, np.uint8))
    now = await scraped(client)
    assert 60 * MIB < (now(name) or 0) - (at_first(name) or 0) < 80 * MIB
    more = (now("process_resident_memory_bytes") or 0) - (at_first("process_resident_memory_bytes") or 0)
    assert 60 * MIB < more < 80 * MIB
    assert (now("process_open_fds") or 0) > 3
    await service.lifecycle.unload()
    assert (await scraped(client))(name) is None, "without a model there is no baseline"
    await service.lifecycle.load()
    assert service.lifecycle.phase is Phase.READY
    assert abs((await scraped(client))(name) or 0) < 30 * MIB, "a load must reset the baseline"
    del arrays


async def test_threads_are_counted(client: httpx.AsyncClient) -> None:
    before = await scraped(client)
    over = threading.Event()
    waiting = [threading.Thread(target=over.wait, daemon=True) for _ in range(20)]
    for thread in waiting:
        thread.start()
    more = ((await scraped(client))("tts_process_threads") or 0) - (before("tts_process_threads") or 0)
    over.set()
    assert 19 <= more <= 21, "a scrape may need one more thread"


async def test_an_unreadable_process_does_not_fail_a_scrape(client: httpx.AsyncClient, service: Service) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        service.metrics.memory._process = psutil.Process(other.pid)
        other.kill()
    now = await scraped(client)
    assert now("tts_process_threads") is None
    assert now("tts_ready") == 1


async def test_the_device_is_reported_while_an_engine_is_loaded(service: Service, client: httpx.AsyncClient) -> None:
    assert (await scraped(client))("tts_device_info", device="CPU") == 1
    await service.lifecycle.unload()
    assert (await scraped(client))("tts_device_info", device="CPU") is None
    await service.lifecycle.load()
    assert (await scraped(client))("tts_device_info", device="CPU") == 1
