"""The control socket, through its client."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import Service
from service.control.__main__ import main
from service.control.protocol import CLASSES, send_command
from service.control.server import listen
from service.engine import EngineError, Utterance
from service.synthesis.in_flight import Class
from tests.unit.service.support import FakeEngine, entered, until

pytestmark = pytest.mark.anyio

Send = Callable[..., Awaitable[dict[str, Any]]]

STATUS = {
    "phase", "progress", "release", "engine", "device", "requests", "streams", "jobs", "completed",
    "last_inference_age_s", "error", "sample_rate", "oldest_s", "classes", "epoch",
}  # fmt: skip


@pytest.fixture
async def send(service: Service) -> AsyncIterator[Send]:
    path = service.settings.control
    path.touch()  # a stale socket file
    server = await listen(path, service)

    async def send_to_service(command: str, **details: Any) -> dict[str, Any]:
        return await asyncio.to_thread(lambda: send_command(path, command, 5.0, **details))

    yield send_to_service
    server.close()


async def test_status_has_all_fields(send: Send, service: Service) -> None:
    status = await send("status")
    assert set(status) == STATUS
    assert (status["phase"], status["release"], status["engine"]) == ("ready", "test-1", "fake")
    assert (status["requests"], status["streams"], status["jobs"], status["error"]) == (0, 0, 0, None)
    assert stat.S_IMODE(service.settings.control.stat().st_mode) == 0o600


async def test_drain_and_resume(send: Send) -> None:
    assert (await send("drain"))["phase"] == "draining"
    assert (await send("drain"))["phase"] == "draining"
    assert (await send("resume"))["phase"] == "ready"


async def test_unload_is_refused_while_a_synthesis_runs_and_load_warms_up(
    send: Send, service: Service, engine: FakeEngine
) -> None:
    engine.gate.clear()
    job = asyncio.create_task(service.speech.synthesize(Utterance("x.", "joe")))
    await entered(engine)
    refused = await send("unload")
    assert "1 syntheses in flight" in refused["refused"]
    assert refused["jobs"] == 1
    engine.gate.set()
    await job
    await until(lambda: not service.scheduler.stuck)
    unloaded = await send("unload")
    assert (unloaded["phase"], unloaded["last_inference_age_s"]) == ("unloaded", None)
    assert not engine.loaded
    assert "unloaded" in (await send("resume"))["refused"]
    engine.spoken.clear()
    assert (await send("load"))["phase"] == "ready"
    assert engine.spoken, "a load must test a synthesis before it is ready"


async def test_an_unload_that_leaks_memory_is_refused_with_the_reason(
    send: Send, service: Service, engine: FakeEngine
) -> None:
    engine.unload_error = EngineError("20 MiB of GPU memory are still allocated")
    reply = await send("unload")
    assert "not all of its memory was released: 20 MiB" in reply["refused"]
    assert (reply["phase"], reply["last_inference_age_s"]) == ("unloaded", None)
    await service.close()


async def test_a_failed_load_is_refused_with_the_reason(send: Send, engine: FakeEngine) -> None:
    await send("unload")
    engine.load_error = OSError("no memory")
    reply = await send("load")
    assert "no memory" in reply["refused"]
    assert reply["phase"] == "failed"


async def test_cut_aborts_the_requests_of_a_class(
    send: Send, service: Service, client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.gate.clear()
    request = asyncio.create_task(client.post("/v1/audio/speech", json={"input": "x."}))
    await entered(engine)
    assert (await send("cut", **{"class": "long"}))["classes"]["short"]["in_flight"] == 1
    short = (await send("cut", **{"class": "short"}))["classes"]["short"]
    assert (short["in_flight"], short["cut"], short["completed"]) == (0, 1, 0)
    assert (await request).status_code == 503
    assert "unknown class" in (await send("cut", **{"class": "medium"}))["refused"]


@pytest.mark.parametrize("words", [["cut"], ["status", "long"], ["drain", "--waiting"], ["cut", "medium"]])
def test_only_cut_accepts_a_class(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["control", *words])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2


def test_the_client_knows_every_class() -> None:
    assert tuple(Class) == CLASSES


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"[]\n", b'{"command": "dance"}\n', b'{"command": ["x"]}\n'])
async def test_an_invalid_command_is_refused(send: Send, service: Service, line: bytes) -> None:
    assert "refused" in json.loads(await asyncio.to_thread(_raw, service.settings.control, line))
    assert (await send("status"))["phase"] == "ready"


async def test_an_overlong_line_gets_no_reply(send: Send, service: Service) -> None:
    assert await asyncio.to_thread(_raw, service.settings.control, b"x" * 10_000 + b"\n") == b""
    assert (await send("status"))["phase"] == "ready"


def _raw(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        try:
            client.sendall(line)
            return client.makefile("rb").readline()
        except ConnectionError:
            return b""


def test_the_client_reports_a_missing_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_CONTROL", str(tmp_path / "none.sock"))
    monkeypatch.setattr("sys.argv", ["control", "status"])
    assert main() == 1
    assert "no reply" in json.loads(capsys.readouterr().out)["refused"]


async def test_status_reports_the_age_of_the_oldest_request(
    service: Service, client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    assert service.status()["oldest_s"] is None
    engine.gate.clear()
    first = asyncio.create_task(client.post("/v1/audio/speech", json={"input": "x."}))
    await entered(engine)
    age = service.status()["oldest_s"]
    second = asyncio.create_task(client.post("/v1/audio/speech", json={"input": "y."}))
    await until(lambda: service.status()["requests"] == 2)
    assert service.status()["oldest_s"] >= age
    engine.gate.set()
    await asyncio.gather(first, second)
    assert service.status()["oldest_s"] is None
