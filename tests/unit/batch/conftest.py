"""Fixtures: a speech service that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batch.run import responses
from tests.unit.batch.support import STARTED, Mouth, looping


@pytest.fixture
def mouth() -> Iterator[Mouth]:
    mouth = Mouth()
    with looping(mouth.serve):
        yield mouth


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked again is asked soon: how the pauses grow is test_responses' business."""
    monkeypatch.setattr(responses, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """No process outlives its test."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()
