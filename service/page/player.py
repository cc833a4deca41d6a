"""The player: it plays speech while it is made, and needs no request of its own.

The parts of the speech are a growing text in the tab's event stream, of which Gradio sends what was appended. So a tab
holds all of its speech, also when its release is replaced.
"""

from __future__ import annotations

import asyncio
import base64
import threading
import uuid
from typing import Any

from service.audio.encoding import Encoder
from service.engine import Audio
from service.page.scripts import read_script

# Chromium, Firefox and Safari append it to a player. MP3 would exclude Firefox.
_FORMAT, _END = "webm", "."


class GrowingSpeech:
    """Speech of which more pieces come; `value` is that of the player, None until there is something to play."""

    def __init__(self, sample_rate: int) -> None:
        self.value: str | None = None
        self._sample_rate = sample_rate
        self._encoder: Encoder | None = None
        self._ended = False
        self._lock = threading.Lock()  # after a cancellation, an encoder goes on in its thread

    async def add(self, piece: Audio) -> None:
        """Add a piece."""
        await asyncio.to_thread(self._add, piece)

    async def end(self) -> None:
        """Let the player end; call it also for speech that was stopped."""
        await asyncio.to_thread(self._end)

    def _add(self, piece: Audio) -> None:
        with self._lock:
            if not self._ended:
                self._encoder = self._encoder or Encoder(_FORMAT, self._sample_rate)
                self._append(self._encoder.add(piece))

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            if self._encoder:
                self._append(self._encoder.end())
                self.value = f"{self.value} {_END}"

    def _append(self, part: bytes) -> None:
        if part:
            self.value = f"{self.value or uuid.uuid4().hex} {base64.b64encode(part).decode()}"


def lay_out(gr: Any) -> Any:
    """Create the player."""
    return gr.HTML(
        "", html_template="<audio controls hidden></audio>", js_on_load=read_script("player"), elem_id="speech"
    )
