"""A process that can no longer serve ends with its own exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from queue import Queue

import httpx
import pytest

from harness.addresses import free_port
from harness.plain_http import PLAIN
from service import engines, server, watchdog
from service.app import Service
from service.engine import EngineFatalError
from service.hardware.gpu import GpuReadings
from service.settings import Settings
from service.synthesis.lifecycle import Phase
from service.watchdog import EXIT_BROKEN, GpuWatch, end_soon, watch_gpu
from tests.unit.service.support import FakeEngine, client_of, entered, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes that the process would have been forced to end with."""
    codes: list[int] = []
    monkeypatch.setattr(watchdog, "end_soon", codes.append)
    return codes


async def begin(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> tuple[Service, asyncio.Task[int]]:
    """Run the whole service over an engine; return it once its load has ended, and the task of its run."""
    started: list[Service] = []

    async def start(service: Service) -> None:
        started.append(service)
        await service.lifecycle.load()

    monkeypatch.setattr(engines, "create", lambda _settings: engine)
    monkeypatch.setattr(Service, "start", start)
    running = asyncio.create_task(server.run(dataclasses.replace(settings, host="127.0.0.1")))
    await until(lambda: started and started[0].lifecycle.phase in (Phase.READY, Phase.FAILED))
    return started[0], running


async def run_until_it_ends(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, requests: int
) -> int:
    """Run the whole service over an engine, send requests, and return the exit code."""
    service, running = await begin(dataclasses.replace(settings, port=0), engine, monkeypatch)
    if requests:
        async with client_of(service) as client:
            await asyncio.gather(*(client.post("/v1/audio/speech", json={"input": "x."}) for _ in range(requests)))
    code = await asyncio.wait_for(running, 30)
    engine.gate.set()
    return code


async def test_a_hung_engine_ends_the_process_without_waiting_for_it(
    settings: Settings, engine: FakeEngine, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.gate.clear()
    monkeypatch.setattr("service.synthesis.lifecycle.warm_up", lambda _engine: None)
    hurried = dataclasses.replace(settings, deadline_s=0.1)
    monkeypatch.setattr(watchdog, "watch_loop", lambda _limit_s: asyncio.sleep(0))
    assert await run_until_it_ends(hurried, engine, monkeypatch, 1) == EXIT_BROKEN
    assert ended == [EXIT_BROKEN]


@pytest.mark.parametrize("requests", [0, 1])
async def test_a_broken_device_ends_the_process(
    settings: Settings, engine: FakeEngine, ended: list[int], monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    if requests:
        monkeypatch.setattr("service.synthesis.lifecycle.warm_up", lambda _engine: None)
    engine.error = EngineFatalError("CUDA error: an illegal memory access")
    assert await run_until_it_ends(settings, engine, monkeypatch, requests) == EXIT_BROKEN
    assert ended == [EXIT_BROKEN]


async def test_a_broken_engine_ends_the_process_although_a_request_waits(
    settings: Settings, engine: FakeEngine, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection closes with the process, and the proxy sends the request to another server."""
    port = free_port()
    service, running = await begin(dataclasses.replace(settings, port=port), engine, monkeypatch)
    await entered(engine)  # the warm-up
    engine.gate.clear()
    async with httpx.AsyncClient(verify=PLAIN) as client:
        request = asyncio.create_task(client.post(f"http://127.0.0.1:{port}/v1/audio/speech", json={"input": "x."}))
        await entered(engine)
        service.lifecycle.report_broken("the GPU is lost")
        assert await asyncio.wait_for(running, 30) == EXIT_BROKEN
        assert not request.done()
        engine.gate.set()
        request.cancel()
    assert ended == [EXIT_BROKEN]


async def test_a_model_that_does_not_load_has_its_own_code(
    settings: Settings, engine: FakeEngine, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.load_error = OSError("no such file")
    assert await run_until_it_ends(settings, engine, monkeypatch, 0) == server.EXIT_FAILED
    assert ended == []


def test_a_gpu_is_lost_after_three_failed_reads_without_a_success_since() -> None:
    watch = GpuWatch()
    for now, lost in ((10.0, False), (20.0, False), (30.0, True)):
        watch = watch.after(whole=False, now=now)
        assert watch.lost(5.0) is lost
        assert watch.lost(None) is lost
        assert not watch.lost(15.0), "NVML alone is lost: the engine still works"
    assert not watch.after(whole=True, now=40.0).lost(5.0)


@pytest.mark.parametrize(
    ("device", "speaks", "lost"), [("cuda (fake)", False, True), ("cuda (fake)", True, False), ("CPU", False, False)]
)
async def test_a_lost_gpu_is_reported_where_the_engine_uses_one(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, device: str, speaks: bool, lost: bool
) -> None:
    """An idle release whose NVML alone is lost still speaks when it is asked."""
    engine.error = None if speaks else RuntimeError("no device")
    reads = 0

    async def refresh() -> GpuReadings:
        nonlocal reads
        reads += 1
        return GpuReadings([], whole=False)

    looks = 0
    describe = engine.describe

    def described() -> object:
        nonlocal looks
        looks += 1
        return dataclasses.replace(describe(), device=device)

    monkeypatch.setattr(engine, "describe", described)
    monkeypatch.setattr(service.metrics.gpus, "refresh", refresh)
    service.scheduler.last_success = None
    task = asyncio.create_task(watch_gpu(service, every_s=0))
    await until(lambda: task.done() or looks > 10)
    assert (service.lifecycle.broken, reads > 0) == (lost, device != "CPU")
    task.cancel()


def test_a_blocked_loop_ends_the_process() -> None:
    hang = (
        "import asyncio, threading, time; from service.watchdog import watch_loop\n"
        "async def main():\n"
        "    task = asyncio.create_task(watch_loop(0.5)); await asyncio.sleep(0)\n"
        "    await asyncio.to_thread(time.sleep, 1.5)\n"
        "    print('alive', flush=True); threading.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", hang], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "alive\n")
    assert "Timeout" in done.stderr


def test_a_process_that_does_not_end_is_ended() -> None:
    codes: Queue[int] = Queue()
    end_soon(EXIT_BROKEN, 0, codes.put)
    assert codes.get(timeout=5) == EXIT_BROKEN
