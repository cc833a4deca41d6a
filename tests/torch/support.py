"""Faults that torch has, thrown into a network that runs."""

from __future__ import annotations

import weakref
from typing import Any

from service.engines.vits import VitsEngine
from service.engines.vits.runtime import Runtime


def runtime(engine: VitsEngine) -> Runtime:
    assert engine._loaded
    return engine._loaded.runtime


def fail_in_decoder(engine: VitsEngine, error: Exception) -> tuple[list[Any], Any]:
    """Have the decoder raise such an error; the inputs that it was given, and a handle whose `remove` ends it."""
    seen: list[Any] = []

    def hook(_module: object, inputs: tuple[Any, ...]) -> None:
        seen.append(weakref.ref(inputs[0]))
        raise type(error)(*error.args)  # a new one each time, as torch does: it keeps what it was thrown through

    return seen, runtime(engine).network.dec.register_forward_pre_hook(hook)
