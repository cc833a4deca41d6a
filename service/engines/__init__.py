"""The registry of engines: a name and where its class lives.

Classes are imported only when one is made, so that reading settings or running a probe costs no numpy.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from service.engines.base import Engine
    from service.settings import Settings

ENGINES = {
    "piper": "service.engines.piper:PiperEngine",
    "vits": "service.engines.vits:VitsEngine",
    "glm_tts": "service.engines.glm_tts.engine:GlmTtsEngine",
}


def default() -> str:
    """The engine of an environment that names none: torch's where torch is (the cuda flavour), else onnxruntime's."""
    return "vits" if find_spec("torch") else "piper"


def create(settings: Settings) -> Engine:
    """Make the engine that is set (a key of ENGINES), not loaded yet."""
    module, _, attribute = ENGINES[settings.engine].partition(":")
    return cast("Engine", getattr(import_module(module), attribute).of(settings))
