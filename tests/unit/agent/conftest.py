"""The target without Docker on which the agent's tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.agent.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()
