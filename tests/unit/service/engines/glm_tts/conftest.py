"""Fixtures: what is mounted for the engine, and the engine with its model loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.glm_tts import Mounted, mounted
from service import engines
from service.engine import Engine


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="package")
def others_set_aside() -> Iterator[None]:
    """What other tests have left in memory is not gone through anew for each model that is dropped."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mounted]:
    with mounted(tmp_path) as found:
        yield found


@pytest.fixture
def engine(mount: Mounted) -> Engine:
    engine = engines.create(mount.settings())
    engine.load(lambda _step: None)
    return engine
