"""Commands that cross each other while a thread loads, prepares or unloads the model."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from service import engines, server, watchdog
from service.app import Service
from service.control.server import execute
from service.settings import Settings
from service.synthesis.lifecycle import Phase, RefusedError
from tests.unit.service.support import FakeEngine, until

pytestmark = pytest.mark.anyio


class SlowEngine(FakeEngine):
    """Engine whose steps wait for the test: `open` holds the names of those that may end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[str] = set()
        self.began: list[str] = []
        self.running = 0
        self.changed = threading.Condition()

    def let(self, *steps: str) -> None:
        with self.changed:
            self.open.update(steps)
            self.changed.notify_all()

    def _wait(self, step: str) -> None:
        with self.changed:
            self.running += 1
            assert self.running == 1, f"{step} began beside another step"
            self.began.append(step)
            assert self.changed.wait_for(lambda: step in self.open, 20), "a test did not end a step"
            self.running -= 1

    def prepare(self) -> None:
        self._wait("prepare")
        super().prepare()

    def load(self, progress: Callable[[str], None]) -> None:
        self._wait("load")
        super().load(progress)

    def unload(self) -> None:
        self._wait("unload")
        super().unload()


@pytest.fixture
def engine() -> Iterator[SlowEngine]:
    engine = SlowEngine()
    yield engine
    engine.let("prepare", "load", "unload")


@pytest.fixture
async def service(settings: Settings, engine: SlowEngine) -> Service:
    return Service(settings, engine)


@pytest.fixture
async def ready(service: Service, engine: SlowEngine) -> Service:
    engine.let("load")
    await service.lifecycle.load()
    engine.open.clear()
    engine.began.clear()
    return service


def begin(work: Awaitable[Any]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(work)


async def nothing() -> None:
    pass


async def command(service: Service, name: str) -> dict[str, Any]:
    return await execute(service, f'{{"command": "{name}"}}'.encode())


async def test_a_load_during_a_parked_start_waits_for_it_and_runs_once(service: Service, engine: SlowEngine) -> None:
    start = begin(service.lifecycle.park(beside=nothing()))
    await until(lambda: engine.began == ["prepare"])
    loads = [begin(command(service, "load")) for _ in range(2)]
    engine.let("prepare", "load")
    first, second = await asyncio.gather(*loads)
    await start
    assert engine.began == ["prepare", "load"]
    assert (first["phase"], first.get("refused")) == ("ready", None)
    assert second["refused"] == "cannot load while ready"
    assert service.lifecycle.phase is Phase.READY


async def test_the_service_is_unloaded_only_when_the_unload_has_ended(ready: Service, engine: SlowEngine) -> None:
    unload = begin(command(ready, "unload"))
    await until(lambda: engine.began == ["unload"])
    assert (await command(ready, "status"))["phase"] == "unloading"
    assert ready.metrics.registry.get_sample_value("tts_phase", {"phase": "unloading"}) == 1
    with pytest.raises(RefusedError, match="cannot resume while unloading"):
        ready.lifecycle.resume()
    engine.let("unload")
    assert (await unload)["phase"] == "unloaded"


async def test_a_load_during_an_unload_follows_it(ready: Service, engine: SlowEngine) -> None:
    unload = begin(command(ready, "unload"))
    await until(lambda: engine.began == ["unload"])
    load = begin(command(ready, "load"))
    await asyncio.sleep(0)
    assert engine.began == ["unload"]
    engine.let("unload", "load")
    assert "refused" not in await unload
    assert (await load)["phase"] == "ready"
    assert engine.began == ["unload", "load"]
    assert engine.loaded


async def test_a_second_unload_returns_with_the_first(ready: Service, engine: SlowEngine) -> None:
    unloads = [begin(command(ready, "unload")) for _ in range(2)]
    await until(lambda: engine.began == ["unload"])
    assert not any(unload.done() for unload in unloads)
    engine.let("unload")
    assert [reply["phase"] for reply in await asyncio.gather(*unloads)] == ["unloaded"] * 2


async def test_an_unload_behind_a_load_does_not_take_its_model(ready: Service, engine: SlowEngine) -> None:
    unload = begin(command(ready, "unload"))
    await until(lambda: engine.began == ["unload"])
    load, second = begin(command(ready, "load")), begin(command(ready, "unload"))
    engine.let("unload", "load")
    await asyncio.gather(unload, load)
    assert (await second)["refused"] == "cannot unload while ready"
    assert (ready.lifecycle.phase, engine.loaded) == (Phase.READY, True)


@pytest.mark.parametrize("name", ["load", "unload", "drain", "resume"])
async def test_a_command_during_a_load_is_refused(service: Service, engine: SlowEngine, name: str) -> None:
    load = begin(service.lifecycle.load())
    await until(lambda: engine.began == ["load"])
    assert (await command(service, name))["refused"] == f"cannot {name} while loading"
    engine.let("load")
    await load
    assert engine.began == ["load"]


async def test_a_failure_during_a_load_is_not_forgotten(service: Service, engine: SlowEngine) -> None:
    load = begin(service.lifecycle.load())
    await until(lambda: engine.began == ["load"])
    service.lifecycle.report_broken("the GPU is lost")
    engine.let("load")
    await load
    assert (service.lifecycle.phase, service.lifecycle.error) == (Phase.FAILED, "the GPU is lost")
    assert service.lifecycle.broken


@pytest.mark.parametrize("step", ["load", "prepare", "unload"])
async def test_a_stop_during_a_transition_is_not_forgotten(service: Service, engine: SlowEngine, step: str) -> None:
    lifecycle = service.lifecycle
    if step == "unload":
        engine.let("load")
        await lifecycle.load()
        engine.began.clear()
    work = {"load": lifecycle.load, "prepare": lambda: lifecycle.park(nothing()), "unload": lifecycle.unload}[step]
    transition = begin(work())
    await until(lambda: engine.began == [step])
    lifecycle.stop()
    engine.let(step)
    await transition
    assert lifecycle.phase is Phase.DRAINING


@pytest.mark.parametrize("parked", [True, False])
async def test_a_signal_ends_the_process_without_waiting_for_the_load(
    settings: Settings, engine: SlowEngine, monkeypatch: pytest.MonkeyPatch, parked: bool
) -> None:
    settings = dataclasses.replace(settings, host="127.0.0.1", port=0, orders=settings.control.parent)
    if parked:
        (settings.orders / "park").touch()
    monkeypatch.setattr(engines, "create", lambda _settings: engine)
    monkeypatch.setattr("service.page.build", lambda *_: threading.Event().wait(20))
    monkeypatch.setattr(watchdog, "end_soon", lambda _code: pytest.fail("the process had to be forced"))
    running = begin(server.run(settings))
    await until(lambda: engine.began == (["prepare"] if parked else ["load"]))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == server.EXIT_OK
    assert engine.running == 1, "the load goes on in its thread"
    assert engine.began[-1] != "unload", "an engine is not unloaded while it loads"
