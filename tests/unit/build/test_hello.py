"""The sentence at the end of `make up`, spoken by whatever engine serves."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
import soundfile

from build import console, hello
from harness.stack import REPOSITORY
from service.app import Service
from service.engine import Description, Voice
from service.settings import Settings
from tests.unit.service.serving import served
from tests.unit.service.support import FakeEngine

pytestmark = pytest.mark.anyio


class OtherVoice(FakeEngine):
    """An engine without the embedded voice."""

    def describe(self) -> Description:
        return dataclasses.replace(super().describe(), voices=(Voice("anna", "Anna", "en"),))


async def test_an_engine_without_the_embedded_voice_speaks_with_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine, file = OtherVoice(), tmp_path / "hello.wav"
    service = Service(dataclasses.replace(Settings.from_env({}), control=tmp_path / "c.sock", release="test-1"), engine)
    await service.lifecycle.load()
    monkeypatch.chdir(REPOSITORY)
    async with served(service) as client:
        monkeypatch.setenv("PORT", str(client.base_url.port))
        assert await asyncio.to_thread(console.run, hello.app, ["--file", str(file)]) == 0
    await service.close()
    assert engine.last
    assert engine.last.voice == "anna"
    assert soundfile.info(file).duration > 0
