"""Fixtures: the service with a fake engine."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine, Say, client_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return dataclasses.replace(Settings.from_env({}), control=tmp_path / "control.sock", release="test-1")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def service(settings: Settings, engine: FakeEngine) -> AsyncIterator[Service]:
    """A ready service with the fake engine."""
    service = Service(settings, engine)
    await service.lifecycle.load()
    engine.spoken.clear()
    while engine.entered.acquire(blocking=False):
        pass
    yield service
    engine.gate.set()
    await service.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


@pytest.fixture
def say(client: httpx.AsyncClient) -> Say:
    """POST /v1/audio/speech with a text and any other fields."""

    async def post(text: str, **fields: Any) -> httpx.Response:
        return await client.post("/v1/audio/speech", json={"input": text, "response_format": "wav"} | fields)

    return post
