"""Finished clips on their way into shards: a shard is written once there are enough for it, one at a time."""

from __future__ import annotations

import asyncio

from batch.output.output import Output
from batch.output.shards import Clip


class Packer:
    """Collects clips. One whose `add` has returned may be in memory alone, until `flush`."""

    def __init__(self, output: Output, size: int) -> None:
        self._output = output
        self._size = size
        self._waiting: list[Clip] = []
        self._writing = asyncio.Lock()

    async def add(self, clip: Clip) -> None:
        """Take a clip, and write the shard that it fills. Raises OutputError."""
        self._waiting.append(clip)
        if len(self._waiting) >= self._size:
            await self._write(self._size)

    async def flush(self) -> None:
        """Write what is left, the last of it as a smaller shard. Raises OutputError."""
        await self._write(1)

    async def _write(self, least: int) -> None:
        async with self._writing:
            while len(self._waiting) >= least:
                clips, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
                # A thread cannot be cancelled: whoever is, waits for it, so that the next shard comes after this one.
                writing = asyncio.ensure_future(asyncio.to_thread(self._output.add, clips))
                try:
                    await asyncio.shield(writing)
                except asyncio.CancelledError:
                    await asyncio.wait([writing])
                    raise
