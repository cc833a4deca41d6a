"""The names of the engines, and which of them is the default. Standard library only: settings read it."""

from __future__ import annotations

from importlib.util import find_spec

ENGINES = {
    "piper": "service.engines.piper:PiperEngine",
    "vits": "service.engines.vits:VitsEngine",
    "glm_tts": "service.engines.glm_tts.engine:GlmTtsEngine",
}


def default() -> str:
    """The engine of an environment that names none: torch's where torch is (the cuda flavour), else onnxruntime's."""
    return "vits" if find_spec("torch") else "piper"
