"""The player: it plays speech while it is made, and needs no request of its own.

The parts of the speech are a growing text in the tab's event stream, of which Gradio sends what was appended. So a tab
holds all of its speech, also when its release is replaced.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

from service.audio.encoding import Encoder, seconds
from service.engine import Audio
from service.page.scripts import read_script

_END = "."


class GrowingSpeech:
    """Speech of which more pieces come; `value` is that of the player, None until there is something to play."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.pieces: list[Audio] = []
        self.value: str | None = None
        self._encoder = Encoder("mp3", sample_rate)

    @property
    def seconds(self) -> float:
        return seconds(self.pieces, self.sample_rate)

    async def add(self, piece: Audio) -> None:
        """Add a piece."""
        self.pieces.append(piece)
        self._append(await asyncio.to_thread(self._encoder.add, piece))

    async def end(self) -> None:
        """Let the player end; call it also for speech that was stopped."""
        if self.pieces:
            self._append(await asyncio.to_thread(self._encoder.end))
        if self.value:
            self.value += f" {_END}"

    def _append(self, part: bytes) -> None:
        if part:
            self.value = f"{self.value or uuid.uuid4().hex} {base64.b64encode(part).decode()}"


def lay_out(gr: Any) -> Any:
    """Create the player."""
    return gr.HTML(
        "", html_template="<audio controls hidden></audio>", js_on_load=read_script("player"), elem_id="speech"
    )
