"""Names of OpenAI's voices and models, which its clients send. Standard library only: the settings import it."""

from __future__ import annotations

import re
from collections.abc import Iterable

VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")

DATE = re.compile(r"-\d{4}(-\d\d-\d\d)?")
"""Date at the end of a model's name."""


def selects(name: str, models: Iterable[str]) -> bool:
    """Return whether `name` is one of `models` or a dated form of one: tts-1-1106, gpt-4o-mini-tts-2025-03-20."""
    return any(name == model or (name.startswith(model) and DATE.fullmatch(name, len(model))) for model in models)
