"""One onnxruntime memory arena for all CPU sessions of the process.

By default each session has its own arena, which keeps the memory of its longest sentence. With many voices that adds
up.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import RunOptions, SessionOptions  # type: ignore[import-untyped]

_DOUBLING = 0  # onnxruntime's code for this growth strategy: the next region is twice as large
# The first region is never freed. Nearly everything happens in the second: it absorbs the fragmentation that sentences
# of all lengths cause. It costs only the memory that is used.
_FIRST_BYTES, _SECOND_BYTES = 1 << 20, 512 << 20


def share(options: SessionOptions) -> None:
    """Make a session use the arena; its weights stay outside, so that the arena can be shrunk."""
    _make_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


def shrink_options() -> RunOptions:
    """Return run options after which the arena frees its unused memory."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@functools.cache
def _make_arena() -> None:
    """Create the arena once; it exists until the process ends."""
    import onnxruntime

    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    size = {"initial_chunk_size_bytes": _FIRST_BYTES, "initial_growth_chunk_size_bytes": _SECOND_BYTES}
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg(size | {"arena_extend_strategy": _DOUBLING}))
