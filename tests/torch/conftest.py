"""Both engines of the embedded voice, on torch and on onnxruntime, loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from service.engines.piper import PiperEngine
from service.engines.vits import VitsEngine


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def piper() -> PiperEngine:
    engine = PiperEngine(1)
    engine.load(lambda _step: None)
    return engine


@pytest.fixture(scope="session")
def loaded() -> VitsEngine:
    engine = VitsEngine(1, "cpu")
    engine.load(lambda _step: None)
    return engine


@pytest.fixture
def vits(loaded: VitsEngine) -> Iterator[VitsEngine]:
    """Yield the engine; remove the hooks that a test adds to its network."""
    yield loaded
    assert loaded._loaded
    for module in loaded._loaded.runtime.network.modules():
        module._forward_pre_hooks.clear()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Limit torch to one thread: other tests run at the same time."""
    torch.set_num_threads(1)
