"""The HTTP API: OpenAI's speech routes, and what says how the service is."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from service.audio import MEDIA_TYPES, STREAMED, encode, seconds, wav_header
from service.body import json_body, read_json
from service.engines.base import Utterance
from service.errors import ClientGoneError, InvalidError, shown
from service.speech import SPEED, Speech, while_connected

OPENAI_MODELS = ("tts-1", "tts-1-hd")
"""Names that clients written for OpenAI send by default; the engine's one model answers to them."""


class SpeechBody(BaseModel):
    """OpenAI's fields; unknown ones are refused, so that none is ignored in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    input: str = Field(description="What to say: Latin letters, digits, usual punctuation, currency signs.")
    model: str | None = Field(None, description="A name from /v1/models; tts-1 and tts-1-hd mean the same.")
    voice: str | None = Field(None, description="An id from /v1/audio/voices; by default the first.")
    response_format: Literal["wav", "pcm", "flac"] = Field("wav", description="pcm: 16-bit little-endian mono.")
    speed: float = Field(
        1.0, description="2.0 is twice as fast.", json_schema_extra={"minimum": SPEED[0], "maximum": SPEED[1]}
    )
    stream_format: Literal["audio"] | None = Field(
        None, description="Given: wav or pcm is sent sentence by sentence as it is spoken."
    )


class SpeechStream(Response):
    """An answer that is sent as it is spoken. It begins with the first piece, so early failures keep their status."""

    def __init__(self, speech: Speech, utterance: Utterance, form: str) -> None:
        self._speech = speech
        self._utterance = utterance
        self._form = form
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak to the client until the end, or until it leaves."""
        try:
            await while_connected(receive, self._run(send))
        except ClientGoneError:
            scope["client_gone"] = True

    async def _run(self, send: Send) -> None:
        async with self._speech.pieces(self._utterance) as pieces:
            first = await anext(pieces)
            rate = self._speech.engine.sample_rate
            self.init_headers(_headers(self._form, rate))
            del self.headers["content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            head = wav_header(rate) if self._form == "wav" else b""
            await send({"type": "http.response.body", "body": head + first.tobytes(), "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece.tobytes(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def speech_routes(speech: Speech) -> APIRouter:
    """POST /v1/audio/speech, GET /v1/audio/voices, GET /v1/models."""
    router = APIRouter(tags=["speech"])

    @router.post("/v1/audio/speech", response_class=Response, openapi_extra=json_body(SpeechBody))
    async def speak(request: Request) -> Response:
        """Say `input` in a voice, as a file or (`stream_format`: "audio") as it is spoken."""
        body = await read_json(request, SpeechBody)
        _check_model(body.model, speech)
        utterance = speech.utterance(body.input, body.voice, body.speed)
        if body.stream_format:
            if body.response_format not in STREAMED:
                message = f"response_format {body.response_format} cannot be streamed, {' and '.join(STREAMED)} can"
                raise InvalidError(message, code="not_streamable", param="response_format")
            return SpeechStream(speech, utterance, body.response_format)
        pieces = await while_connected(request.receive, speech.say(utterance))
        rate = speech.engine.sample_rate
        content = await asyncio.to_thread(encode, pieces, rate, body.response_format)
        headers = _headers(body.response_format, rate) | {"X-Audio-Duration": f"{seconds(pieces, rate):.3f}"}
        return Response(content, headers=headers)

    @router.get("/v1/audio/voices")
    async def voices() -> dict[str, Any]:
        """The voices that /v1/audio/speech takes."""
        return {"voices": [{"id": v.id, "name": v.name, "language": v.language} for v in speech.voices]}

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The model that is loaded, in OpenAI's list shape."""
        known = speech.engine.describe()
        return {"object": "list", "data": [{"id": known.model, "object": "model", "owned_by": known.engine}]}

    return router


def _check_model(name: str | None, speech: Speech) -> None:
    known = speech.engine.describe().model
    if name not in (None, known, *OPENAI_MODELS):
        names = ", ".join((known, *OPENAI_MODELS))
        raise InvalidError(f"model {shown(name)} does not exist; there is {names}", code="no_such_model", param="model")


def _headers(form: str, sample_rate: int) -> dict[str, str]:
    return {"Content-Type": MEDIA_TYPES[form], "X-Sample-Rate": str(sample_rate)}
