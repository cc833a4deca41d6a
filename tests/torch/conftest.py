"""Both engines of the embedded voice, loaded once: on torch and on onnxruntime."""

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
    """The engine; what a test has hooked into its network is gone afterwards."""
    yield loaded
    assert loaded._loaded
    for module in loaded._loaded.runtime.network.modules():
        module._forward_pre_hooks.clear()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Runs beside other things."""
    torch.set_num_threads(1)
