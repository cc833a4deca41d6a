"""Epochs of control commands, and the agent's orders."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.orders import Do
from agent.orders import Orders as AgentOrders
from service.app import Service
from service.control import __main__ as client
from service.control.orders import Orders
from service.control.server import execute
from service.engine import Utterance
from service.settings import Settings
from service.synthesis.lifecycle import Phase
from tests.unit.service.support import FakeEngine, entered, until

pytestmark = pytest.mark.anyio

Give = Callable[[int, Do], None]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return dataclasses.replace(settings, orders=tmp_path / "blue")


@pytest.fixture
def give(tmp_path: Path) -> Give:
    """Order as the agent does."""
    return lambda epoch, do: AgentOrders(tmp_path).give("blue", epoch, do)


async def ask(service: Service, command: str, **fields: object) -> str:
    """Return why the service refused a command; "" if it obeyed."""
    answer = await execute(service, json.dumps({"command": command, **fields}).encode())
    return str(answer.get("refused", ""))


@pytest.mark.parametrize("command", ["load", "unload", "cut", "drain", "resume"])
async def test_a_command_of_an_older_epoch_is_refused(service: Service, command: str) -> None:
    assert not await ask(service, "drain", epoch=4)
    fields = {"class": "short"} if command == "cut" else {}
    assert "epoch 3 is over" in await ask(service, command, epoch=3, **fields)
    assert service.lifecycle.phase is Phase.DRAINING
    assert not await ask(service, "status", epoch=3)
    assert not await ask(service, "resume", epoch=4)
    assert not await ask(service, "drain", epoch=5)
    assert not await ask(service, "resume")
    assert service.status()["epoch"] == 5


@pytest.mark.parametrize("epoch", ["5", -1, 1.5, True])
async def test_an_epoch_is_a_whole_number(service: Service, epoch: object) -> None:
    assert "whole number" in await ask(service, "drain", epoch=epoch)
    assert service.lifecycle.phase is Phase.READY


@pytest.mark.parametrize(("value", "sent"), [("7", {"epoch": 7}), ("", {})])
def test_the_client_takes_the_epoch_from_its_environment(
    value: str, sent: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, object]] = []

    def send(_path: Path, _command: str, _timeout_s: float, **details: object) -> dict[str, object]:
        requests.append(details)
        return {}

    monkeypatch.setattr(client, "send_command", send)
    monkeypatch.setenv("CONTROL_EPOCH", value)
    monkeypatch.setattr("sys.argv", ["control", "unload"])
    assert client.main() == 0
    assert requests == [sent]


def test_an_epoch_that_is_no_number_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_EPOCH", "many")
    monkeypatch.setattr("sys.argv", ["control", "unload"])
    with pytest.raises(SystemExit) as refused:
        client.main()
    assert refused.value.code == 2
    assert "CONTROL_EPOCH must be a whole number" in capsys.readouterr().err


async def test_orders_move_the_model_once_each(service: Service, give: Give, engine: FakeEngine) -> None:
    orders = Orders(service)
    orders.poll()
    assert service.lifecycle.phase is Phase.READY
    for epoch, do, phase in ((1, Do.UNLOAD, Phase.UNLOADED), (1, Do.LOAD, Phase.READY), (2, Do.UNLOAD, Phase.UNLOADED)):
        give(epoch, do)
        orders.poll()
        assert orders._task
        await orders._task
        assert service.lifecycle.phase is phase
    assert not await ask(service, "load", epoch=3)
    orders.poll()
    await asyncio.sleep(0)
    assert service.lifecycle.phase is Phase.READY, "an order is obeyed once"


async def test_a_keep_voids_older_epochs_and_moves_nothing(service: Service, give: Give) -> None:
    orders = Orders(service)
    give(5, Do.KEEP)
    orders.poll()
    assert service.status()["epoch"] == 5
    assert "epoch 4 is over" in await ask(service, "unload", epoch=4)
    assert service.lifecycle.phase is Phase.READY


async def test_an_order_of_an_older_epoch_is_void(service: Service, give: Give) -> None:
    orders = Orders(service)
    assert not await ask(service, "drain", epoch=7)
    assert not await ask(service, "resume", epoch=7)
    give(6, Do.UNLOAD)
    for _ in range(3):
        orders.poll()
        await asyncio.sleep(0)
    assert service.lifecycle.phase is Phase.READY


async def test_an_order_from_before_the_start_is_void_but_its_epoch_counts(service: Service, give: Give) -> None:
    give(6, Do.UNLOAD)
    orders = Orders(service)
    orders.poll()
    await asyncio.sleep(0)
    assert service.lifecycle.phase is Phase.READY
    assert "epoch 5 is over" in await ask(service, "unload", epoch=5)


async def test_an_unload_waits_for_the_requests_in_flight(service: Service, give: Give, engine: FakeEngine) -> None:
    orders = Orders(service)
    engine.gate.clear()
    job = asyncio.create_task(service.speech.synthesize(Utterance("x.", "joe")))
    await entered(engine)
    give(1, Do.UNLOAD)
    orders.poll()
    await until(lambda: orders._task is not None and orders._task.done())
    assert service.lifecycle.phase is Phase.READY
    engine.gate.set()
    await job
    await until(lambda: not service.scheduler.stuck)
    orders.poll()
    await until(lambda: service.lifecycle.phase is Phase.UNLOADED)


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"epoch": 1}', '{"epoch": "x", "do": "load"}'])
async def test_a_file_that_is_no_order_changes_nothing(service: Service, content: str) -> None:
    orders = Orders(service)
    service.settings.orders.mkdir(exist_ok=True)
    (service.settings.orders / "command").write_text(content)
    orders.poll()
    assert (service.lifecycle.phase, service.epoch) == (Phase.READY, 0)


async def test_a_service_that_starts_takes_note_and_obeys_later(
    settings: Settings, engine: FakeEngine, give: Give
) -> None:
    service = Service(settings, engine)
    orders = Orders(service)
    give(3, Do.LOAD)
    orders.poll()
    assert (service.lifecycle.phase, service.epoch) == (Phase.STARTING, 3)
    await service.lifecycle.park(asyncio.sleep(0))
    orders.poll()
    await until(lambda: service.lifecycle.phase is Phase.READY)
    await service.close()
