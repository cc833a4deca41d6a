"""Fixtures: a scripted speech service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batch.run import responses
from tests.unit.batch.support import STARTED, FakeService, serving


@pytest.fixture
def service() -> Iterator[FakeService]:
    service = FakeService()
    with serving(service.serve):
        yield service


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry soon; test_responses covers the growth of the pauses."""
    monkeypatch.setattr(responses, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture(autouse=True)
def no_process_survives() -> Iterator[None]:
    """End the processes that a test started."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()
