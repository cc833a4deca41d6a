"""Responses streamed during the synthesis: audio alone, or server-sent events in OpenAI's format."""

from __future__ import annotations

import base64
import json

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from service.audio.encoding import encoded_rate, wav_header
from service.engine import Utterance
from service.errors import ClientGoneError
from service.formats import MEDIA_TYPES
from service.synthesis.speech import Speech, while_connected

SSE = "text/event-stream"
_DONE = b'data: {"type": "speech.audio.done"}\n\n'


def audio_headers(form: str, sample_rate: int, utterance: Utterance) -> dict[str, str]:
    """Return the headers of speech at `sample_rate` (Hz) in `form`: its type, its rate, what the text lost."""
    dropped = {"X-Text-Dropped": utterance.dropped} if utterance.dropped else {}
    return {"Content-Type": MEDIA_TYPES[form], "X-Sample-Rate": str(encoded_rate(sample_rate, form))} | dropped


class SpeechStream(Response):
    """Response that starts with the first piece, so that earlier errors keep their status.

    A later error leaves it incomplete, which tells the client: events end without `speech.audio.done`.
    """

    def __init__(self, speech: Speech, utterance: Utterance, form: str, *, events: bool) -> None:
        self._speech = speech
        self._utterance = utterance
        self._form = form
        self._events = events
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream to the client until the end, or until it disconnects."""
        try:
            await while_connected(receive, self._run(send))
        except ClientGoneError:
            scope["client_gone"] = True

    async def _run(self, send: Send) -> None:
        async with self._speech.pieces(self._utterance) as pieces:
            first = await anext(pieces)
            rate = self._speech.engine.sample_rate
            self.init_headers(audio_headers(self._form, rate, self._utterance) | self._event_headers())
            del self.headers["content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            head = wav_header(rate) if self._form == "wav" else b""
            await self._send(send, head + first.tobytes())
            async for piece in pieces:
                await self._send(send, piece.tobytes())
        last = _DONE if self._events else b""
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send(self, send: Send, audio: bytes) -> None:
        body = _delta(audio) if self._events else audio
        await send({"type": "http.response.body", "body": body, "more_body": True})

    def _event_headers(self) -> dict[str, str]:
        return {"Content-Type": SSE, "Cache-Control": "no-cache"} if self._events else {}


def _delta(audio: bytes) -> bytes:
    event = {"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()}
    return b"data: " + json.dumps(event).encode() + b"\n\n"
