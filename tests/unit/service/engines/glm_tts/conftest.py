"""Fixtures: the mounts of the engine, and the engine with a loaded model."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.glm_tts import Mounted, mounted
from service import engines
from service.engine import Engine
from service.engines.glm_tts import grammar


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


@pytest.fixture(autouse=True)
def grammar_built_by_the_load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process for each test; test_grammar does."""
    if request.path.stem != "test_grammar":
        monkeypatch.setattr(grammar, "_build_apart", lambda cache: cache.mkdir(parents=True, exist_ok=True))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mounted]:
    with mounted(tmp_path) as found:
        yield found


@pytest.fixture
def engine(mount: Mounted) -> Engine:
    engine = engines.create(mount.settings())
    engine.load(lambda _step: None)
    return engine
