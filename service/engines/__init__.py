"""The text-to-speech engines. An engine's module is imported only when that engine is created."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from service.engine_names import ENGINES

if TYPE_CHECKING:
    from service.engine import Engine
    from service.settings import Settings


def create(settings: Settings) -> Engine:
    """Create the configured engine (a key of ENGINES) without loading its model."""
    module, _, attribute = ENGINES[settings.engine].partition(":")
    return cast("Engine", getattr(import_module(module), attribute).from_settings(settings))
