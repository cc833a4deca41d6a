"""An idle page costs next to no CPU time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gradio import queueing

from service import page
from service.app import Service
from tests.unit.service.support import until

pytestmark = pytest.mark.anyio


class Recorder:
    """asyncio, with a record of the delays of `sleep`."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)
        await asyncio.sleep(delay_s)


async def test_an_idle_page_wakes_the_process_only_some_times_a_second(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(queueing, "asyncio", recorder)
    app = page.build(service.speech, service.traffic)
    async with app.router.lifespan_context(app):
        await until(lambda: len(recorder.delays_s) >= 3)
    assert min(recorder.delays_s) >= 0.05
