"""The engines, each a way to turn text into speech. Their classes are imported only when one is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from service.engine_names import ENGINES

if TYPE_CHECKING:
    from service.engine import Engine
    from service.settings import Settings


def create(settings: Settings) -> Engine:
    """Make the engine that is set (a key of ENGINES), not loaded yet."""
    module, _, attribute = ENGINES[settings.engine].partition(":")
    return cast("Engine", getattr(import_module(module), attribute).of(settings))
