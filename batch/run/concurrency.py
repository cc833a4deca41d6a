"""The concurrency limit at work: a request waits here until one more may be in flight."""

from __future__ import annotations

import asyncio

from batch.run.aimd import Limit


class Slots:
    """An async context manager, held while a request is in flight."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._changed = asyncio.Condition()
        self.in_flight = 0

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.in_flight < self._limit.allowed)
            self.in_flight += 1

    async def __aexit__(self, *reason: object) -> None:
        self.in_flight -= 1
        async with self._changed:
            self._changed.notify_all()
