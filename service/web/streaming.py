"""Responses streamed during the synthesis: audio alone, or server-sent events in OpenAI's format."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from service.audio.encoding import Encoder, encoded_rate
from service.engine import Utterance
from service.errors import ClientGoneError, ServiceError, error_body
from service.formats import MEDIA_TYPES
from service.synthesis.job import Part
from service.synthesis.speech import Speech, while_connected

logger = logging.getLogger(__name__)

SSE = "text/event-stream"
KEEP_ALIVE_S = 10.0
"""Proxies and clients close a stream without data after 30 s or more."""
AUDIO_TOKENS_PER_S = 20
"""Output tokens of `usage` a second of speech, about as many as of OpenAI's models."""

_KEEP_ALIVE = b": keep-alive\n\n"


@dataclass(frozen=True)
class Delivery:
    """How a client wants its speech: the format, as events or alone, and further headers."""

    form: str
    events: bool
    headers: Mapping[str, str]


def audio_headers(form: str, sample_rate: int) -> dict[str, str]:
    """Return Content-Type and X-Sample-Rate of encoded speech at `sample_rate` Hz in `form`."""
    return {"Content-Type": MEDIA_TYPES[form], "X-Sample-Rate": str(sample_rate)}


class SpeechStream(Response):
    """Response that starts with the first audio, so that earlier errors keep their status.

    A later error leaves audio incomplete, which tells the client; among events it is an event of its own. Events start
    with a comment if the first audio takes longer than KEEP_ALIVE_S.
    """

    def __init__(self, speech: Speech, utterance: Utterance, delivery: Delivery) -> None:
        self._speech = speech
        self._utterance = utterance
        self._delivery = delivery
        self._started = False
        self._samples = 0
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream to the client until the end, or until it disconnects."""
        stream = self._events(send) if self._delivery.events else self._audio(send)
        try:
            await while_connected(receive, stream)
        except ClientGoneError:
            scope["client_gone"] = True

    async def _audio(self, send: Send) -> None:
        form = self._delivery.form
        async with self._speech.parts(self._utterance, functools.partial(Encoder, form)) as parts:
            async for chunk in self._encoded(parts):
                await self._send(send, chunk, form)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, send: Send) -> None:
        # Events carry bare samples, since a client joins them.
        form = "pcm" if self._delivery.form == "wav" else self._delivery.form
        try:
            async with (
                self._speech.parts(self._utterance, functools.partial(Encoder, form)) as parts,
                contextlib.aclosing(_with_pauses(self._encoded(parts))) as chunks,
            ):
                async for chunk in chunks:
                    await self._send(send, _delta(chunk) if chunk else _KEEP_ALIVE, form)
            last = _event({"type": "speech.audio.done", "usage": self._usage()})
        except ServiceError as error:
            if not self._started:
                raise
            logger.warning("a stream of events ends with an error: %s", error.message)
            body = error_body(error.message, error.type, error.code, error.param)
            last = _event({"type": "error", **json.loads(body)})
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send(self, send: Send, body: bytes, form: str) -> None:
        """Send a part of the body, and the headers before the first."""
        if not self._started:
            self._started = True
            sample_rate = encoded_rate(self._speech.engine.sample_rate, form)
            kind = {"Content-Type": SSE, "Cache-Control": "no-cache"} if self._delivery.events else {}
            self.init_headers({**audio_headers(self._delivery.form, sample_rate), **self._delivery.headers, **kind})
            del self.headers["content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _encoded(self, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
        """Yield the encoded bytes of each part that has any; count the samples."""
        async for part in parts:
            self._samples += part.samples.size
            if part.encoded:
                yield part.encoded

    def _usage(self) -> dict[str, int]:
        """Return the usage in OpenAI's format: a token is a character of the text, and 1/20 s of speech."""
        read = len(self._utterance.text)
        spoken = round(self._samples / self._speech.engine.sample_rate * AUDIO_TOKENS_PER_S)
        return {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}


async def _with_pauses(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the chunks, and b"" after each KEEP_ALIVE_S without one."""
    pending: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(chunks))
            done, _ = await asyncio.wait({pending}, timeout=KEEP_ALIVE_S)
            if not done:
                yield b""
                continue
            chunk, pending = pending.result(), None
            if chunk is None:
                return
            yield chunk
    finally:
        if pending:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """Return the next chunk, or None at the end."""
    return await anext(chunks, None)


def _delta(audio: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"
