"""The rows of the status tab."""

from __future__ import annotations

import httpx
import pytest

from service.app import Service
from service.hardware.gpu import Device, GpuReadings
from tests.unit.service.support import FakeEngine, Say

pytestmark = pytest.mark.anyio
GIB = 2**30


async def rows(client: httpx.AsyncClient) -> dict[str, str]:
    return dict((await client.get("/status.json")).json()["rows"])


async def test_completed_texts_are_counted(client: httpx.AsyncClient, say: Say, engine: FakeEngine) -> None:
    await say("One. Two.")
    shown = await rows(client)
    assert (shown["Release"], shown["Engine"], shown["Device"], shown["Phase"]) == ("test-1", "fake", "CPU", "ready")
    assert shown["Completed since the start"] == "1 text, 0.2 s of audio"
    assert shown["Last inference"] == "0 s ago"


async def test_the_reason_of_a_failure_is_shown(service: Service, client: httpx.AsyncClient) -> None:
    service.lifecycle.fail("the engine is broken: an illegal memory access")
    assert (await rows(client))["Phase"] == "failed: the engine is broken: an illegal memory access"


def gpu(name: str, used: int | None) -> Device:
    return Device("GPU-1", name, 16 * GIB, used, 0.5, 60, 100.0)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (None, {"GPU": "none"}),
        (
            GpuReadings([gpu("One", 9 * GIB // 2), gpu("Two", None)], whole=True),
            {"GPU 0": "One, 4.5 of 16.0 GiB used", "GPU 1": "Two, memory unknown"},
        ),
        (GpuReadings([], whole=False), {"GPU": "a GPU or its driver does not respond"}),
    ],
    ids=["none", "two", "hangs"],
)
async def test_the_gpus_are_shown(
    service: Service,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    readings: GpuReadings | None,
    expected: dict[str, str],
) -> None:
    async def refresh() -> GpuReadings | None:
        return readings

    monkeypatch.setattr(service.metrics.gpus, "refresh", refresh)
    assert {name: text for name, text in (await rows(client)).items() if name.startswith("GPU")} == expected
