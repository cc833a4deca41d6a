"""Fixtures: the mounts of the engine, and the engine with a loaded model."""

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
def objects_of_other_tests_frozen() -> Iterator[None]:
    """Exclude objects of other tests from the garbage collection after each unload, which would be slow."""
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
