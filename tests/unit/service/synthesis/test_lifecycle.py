from __future__ import annotations

import asyncio
import dataclasses
import gc
import threading

import httpx
import pytest

from service.app import Service
from service.settings import Settings
from service.synthesis.lifecycle import Phase, RefusedError
from tests.unit.service.support import FakeEngine, client_of

pytestmark = pytest.mark.anyio


async def test_readyz_reports_the_phases_of_a_start(settings: Settings, engine: FakeEngine) -> None:
    service = Service(settings, engine)
    progress = []
    gate = threading.Event()

    def load(progress: object) -> None:
        assert gate.wait(5)

    engine.load = load  # type: ignore[method-assign]
    async with client_of(service) as client:

        async def readyz() -> tuple[int, str]:
            response = await client.get("/readyz")
            progress.append(service.status()["progress"])
            return response.status_code, response.json()["phase"]

        assert await readyz() == (503, "starting")
        loading = asyncio.create_task(service.lifecycle.load())
        await asyncio.sleep(0)
        assert await readyz() == (503, "loading")
        refused = await client.post("/v1/audio/speech", json={"input": "x"})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "loading" in refused.json()["error"]["message"]
        gate.set()
        await loading
        assert await readyz() == (200, "ready")
    assert progress == sorted(set(progress)), "progress must grow with each step"


@pytest.mark.parametrize("fault", ["raises", "silent", "page"])
async def test_a_failed_start_reports_the_reason(settings: Settings, engine: FakeEngine, fault: str) -> None:
    async def page() -> None:
        if fault == "page":
            raise ImportError("no page")

    engine.load_error = OSError("no model file") if fault == "raises" else None
    engine.level = 0 if fault == "silent" else 9000
    service = Service(settings, engine)
    await service.lifecycle.load(beside=page())
    assert service.lifecycle.phase is Phase.FAILED
    assert service.lifecycle.failed.is_set()
    wanted = {"raises": "OSError: no model file", "silent": "inference was silent", "page": "ImportError: no page"}
    assert wanted[fault] in str(service.status()["error"])


async def test_drain_rejects_new_requests_and_resume_accepts_them(service: Service, client: httpx.AsyncClient) -> None:
    service.lifecycle.drain()
    assert (await client.get("/readyz")).status_code == 503
    refused = await client.post("/v1/audio/speech", json={"input": "x"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    service.lifecycle.resume()
    assert (await client.post("/v1/audio/speech", json={"input": "x"})).status_code == 200


async def test_a_stop_cannot_be_resumed(service: Service) -> None:
    service.lifecycle.stop()
    assert service.lifecycle.phase is Phase.DRAINING
    with pytest.raises(RefusedError, match="stopping"):
        service.lifecycle.resume()


async def test_a_stop_during_a_load_prevents_readiness(settings: Settings, engine: FakeEngine) -> None:
    service = Service(settings, engine)
    loading = asyncio.create_task(service.lifecycle.load())
    await asyncio.sleep(0)
    service.lifecycle.stop()
    await loading
    assert service.lifecycle.phase is Phase.DRAINING


@pytest.mark.parametrize("parked", [True, False])
async def test_a_parked_process_loads_its_model_on_command(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, parked: bool
) -> None:
    settings = dataclasses.replace(settings, orders=settings.control.parent)
    if parked:
        (settings.orders / "park").touch()
    service = Service(settings, engine)
    opened = []

    async def page() -> None:
        opened.append(True)

    monkeypatch.setattr(service, "_open_page", page)
    await service.start()
    assert (service.lifecycle.phase, engine.loaded) == ((Phase.UNLOADED, False) if parked else (Phase.READY, True))
    assert opened, "the page must be built in both cases"
    if parked:
        assert engine.prepared
        await service.lifecycle.load()
        assert (service.lifecycle.phase, engine.loaded) == (Phase.READY, True)


async def test_a_loaded_model_is_left_out_of_garbage_collections(service: Service) -> None:
    gc.unfreeze()
    lifecycle = service.lifecycle
    lifecycle.freezes = True
    for _ in range(2):
        await lifecycle.unload()
        assert gc.get_freeze_count() == 0, "an unload must free the objects of the model"
        await lifecycle.load()
        assert gc.get_freeze_count() > 10_000
    await service.close()
    assert gc.get_freeze_count() == 0


async def test_a_parked_process_reports_a_failed_import(settings: Settings, engine: FakeEngine) -> None:
    async def page() -> None:
        pass

    engine.load_error = ImportError("no runtime")
    service = Service(settings, engine)
    await service.lifecycle.park(beside=page())
    assert service.lifecycle.phase is Phase.FAILED
    assert "no runtime" in str(service.status()["error"])
