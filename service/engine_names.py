"""Names of the engines and the default engine. Standard library only: the settings import it."""

from __future__ import annotations

from importlib.util import find_spec

ENGINES = {
    "piper": "service.engines.piper:PiperEngine",
    "vits": "service.engines.vits:VitsEngine",
    "glm_tts": "service.engines.glm_tts.engine:GlmTtsEngine",
}


def default() -> str:
    """Return the default engine: vits if torch is installed (the cuda flavour), otherwise piper."""
    return "vits" if find_spec("torch") else "piper"
