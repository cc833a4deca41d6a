"""What inferences work in, on the CPU: one arena for all sessions of the process.

onnxruntime gives each session an arena of its own, which keeps what its longest sentences took: with many voices that
is as much for each of them.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import RunOptions, SessionOptions  # type: ignore[import-untyped]

_DOUBLING = 0  # onnxruntime's number for how an arena grows: the next region is twice as large
# The first region is never given back; the second, where nearly everything happens, holds the holes that sentences of
# all lengths leave together. It costs what is used of it.
_FIRST_BYTES, _SECOND_BYTES = 1 << 20, 512 << 20


def share(options: SessionOptions) -> None:
    """Have a session work in the arena; its weights are kept outside, so that the arena can be emptied."""
    _make_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


def emptying() -> RunOptions:
    """Options of an inference after which the arena gives back what is not in use."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@functools.cache
def _make_arena() -> None:
    """Once: it is there until the process ends."""
    import onnxruntime

    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    size = {"initial_chunk_size_bytes": _FIRST_BYTES, "initial_growth_chunk_size_bytes": _SECOND_BYTES}
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg(size | {"arena_extend_strategy": _DOUBLING}))
