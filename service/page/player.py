"""The player: it plays speech while it is made, and needs no request of its own.

The parts of the speech are a growing text in the tab's event stream, of which Gradio sends what was appended. So a tab
holds all of its speech, also when its release is replaced.
"""

from __future__ import annotations

import asyncio
import base64
import threading
import uuid
from typing import Any, NamedTuple

from service.audio.encoding import Encoder, Writer
from service.engine import Audio
from service.page.scripts import read_script
from service.synthesis.speech import Encode

# Chromium, Firefox and Safari append it to a player. MP3 would exclude Firefox.
_FORMAT, _END = "webm", "."


class GrowingSpeech:
    """Speech of which more pieces come; `value` is that of the player, None until there is something to play."""

    def __init__(self) -> None:
        self.value: str | None = None
        self._encoder: Encoder | None = None
        self._begun = False
        self._lock = threading.Lock()  # after a cancellation, a worker thread goes on with its piece

    def beside(self, encode: Encode) -> Encode:
        """Return the creator of an encoder of a file that gives this player the same speech."""

        def create(sample_rate: int) -> Writer:
            self._encoder = Encoder(_FORMAT, sample_rate)
            return _Both(encode(sample_rate), self)

        return create

    def add(self, samples: Audio) -> None:
        """Add a piece. Slow: worker threads call it."""
        with self._lock:
            if self._encoder:
                self._begun = True
                self._append(self._encoder.add(samples))

    async def end(self) -> None:
        """Let the player end; call it also for speech that was stopped."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        with self._lock:
            encoder, self._encoder = self._encoder, None
            if encoder and self._begun:
                self._append(encoder.end())
                self.value = f"{self.value} {_END}"

    def _append(self, part: bytes) -> None:
        if part:
            self.value = f"{self.value or uuid.uuid4().hex} {base64.b64encode(part).decode()}"


class _Both(NamedTuple):
    """Encoder of a file that feeds the player too."""

    file: Writer
    growing: GrowingSpeech

    def add(self, samples: Audio) -> bytes:
        self.growing.add(samples)
        return self.file.add(samples)

    def end(self) -> bytes:
        return self.file.end()


def lay_out(gr: Any) -> Any:
    """Create the player."""
    return gr.HTML(
        "", html_template="<audio controls hidden></audio>", js_on_load=read_script("player"), elem_id="speech"
    )
