"""Shards are written one after the other, even after a cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from batch.output.output import Output
from batch.output.shard_writer import Packer
from batch.output.shards import Clip
from tests.unit.batch.support import clips, wav


class Gated(Output):
    """Writes once `opened` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {})
        self.opened = threading.Event()
        self.writing = 0
        self.peak_writing = 0

    def add(self, clips: Sequence[Clip]) -> None:
        """Write, and count concurrent writers."""
        self.writing += 1
        self.peak_writing = max(self.peak_writing, self.writing)
        assert self.opened.wait(10)
        super().add(clips)
        self.writing -= 1


def clip(name: str) -> Clip:
    facts = {"duration_s": 0.1, "release": "r", "seconds": 0.1, "tries": 1, "request_id": "", "task": name}
    return Clip(wav(), facts | {"output_name": name})


def test_the_next_shard_waits_for_a_cancelled_writer(tmp_path: Path) -> None:
    async def write(output: Gated) -> None:
        packer = Packer(output, 2)
        await packer.add(clip("a.wav"))
        adding = asyncio.create_task(packer.add(clip("b.wav")))
        while not output.writing:
            await asyncio.sleep(0.001)
        adding.cancel()
        await packer.add(clip("c.wav"))
        flushing = asyncio.create_task(packer.flush())
        for _ in range(20):
            await asyncio.sleep(0.001)
        output.opened.set()
        await asyncio.gather(adding, flushing, return_exceptions=True)
        assert flushing.exception() is None

    with Gated(tmp_path) as output:
        asyncio.run(write(output))
    assert output.peak_writing == 1
    assert clips(tmp_path) == ["a.wav", "b.wav", "c.wav"]
