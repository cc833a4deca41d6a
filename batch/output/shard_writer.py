"""Write finished clips into shards: one shard at a time, once there are enough clips for it."""

from __future__ import annotations

import asyncio

from batch.output.output import Output
from batch.output.shards import Clip


class Packer:
    """Collects clips. Until `flush`, a clip may be in memory alone after `add` returns."""

    def __init__(self, output: Output, size: int) -> None:
        self._output = output
        self._size = size
        self._pending: list[Clip] = []
        self._writing = asyncio.Lock()

    async def add(self, clip: Clip) -> None:
        """Add a clip, and write the shard if it is full. Raises OutputError."""
        self._pending.append(clip)
        if len(self._pending) >= self._size:
            await self._write(self._size)

    async def flush(self) -> None:
        """Write the remaining clips, the last ones as a smaller shard. Raises OutputError."""
        await self._write(1)

    async def _write(self, least: int) -> None:
        async with self._writing:
            while len(self._pending) >= least:
                clips, self._pending = self._pending[: self._size], self._pending[self._size :]
                # A thread cannot be cancelled: on cancellation wait for it, so that the next shard comes after this
                # one.
                writing = asyncio.ensure_future(asyncio.to_thread(self._output.add, clips))
                try:
                    await asyncio.shield(writing)
                except asyncio.CancelledError:
                    await asyncio.wait([writing])
                    raise
