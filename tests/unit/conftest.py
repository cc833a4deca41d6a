"""The embedded voice, shared by the unit tests of the service and of the gate."""

from __future__ import annotations

import pytest

from service.engine import Engine
from service.engines.piper import PiperEngine


@pytest.fixture(scope="session")
def piper() -> Engine:
    """The embedded voice, loaded once."""
    engine = PiperEngine()
    engine.load(lambda _step: None)
    return engine
