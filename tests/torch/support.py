"""Inject torch's errors into a network."""

from __future__ import annotations

import weakref
from typing import Any

from service.engines.vits import VitsEngine
from service.engines.vits.runtime import Runtime


def runtime(engine: VitsEngine) -> Runtime:
    assert engine._loaded
    return engine._loaded.runtime


def fail_in_decoder(engine: VitsEngine, error: Exception) -> tuple[list[Any], Any]:
    """Make the decoder raise an error; return weak references to its inputs, and the handle of the hook."""
    references: list[Any] = []

    def hook(_module: object, inputs: tuple[Any, ...]) -> None:
        references.append(weakref.ref(inputs[0]))
        raise type(error)(*error.args)  # a new instance each time, as torch: it keeps its traceback

    return references, runtime(engine).network.dec.register_forward_pre_hook(hook)
