"""The registry of engines: a name and where its class lives.

Classes are imported only when one is made, so that reading settings or running a probe costs no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from service.engines.base import Engine

ENGINES = {"piper": "service.engines.piper:PiperEngine"}


def create(name: str, concurrency: int) -> Engine:
    """Make the engine called `name` (a key of ENGINES, not loaded yet) for `concurrency` inferences at a time."""
    module, _, attribute = ENGINES[name].partition(":")
    return cast("Engine", getattr(import_module(module), attribute)(concurrency))
