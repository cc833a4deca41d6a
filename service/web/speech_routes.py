"""The HTTP API with OpenAI's speech routes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service.access.guard import client_of
from service.audio.encoding import encoded
from service.audio.reference import check_prompt, read_reference
from service.engine import Utterance, VoiceReference
from service.errors import InvalidError
from service.fields import SEED, quote
from service.formats import STREAMED, Format
from service.large_text import LargeText
from service.synthesis.speech import SPEED, Speech, while_connected
from service.threads import untrusted
from service.web import openapi
from service.web.json_body import json_body, read_json
from service.web.streaming import SpeechStream, audio_headers

OPENAI_MODELS = ("tts-1", "tts-1-hd")
"""Default model names of OpenAI clients; they map to the engine's one model."""


class SpeechBody(BaseModel):
    """Request body with OpenAI's fields; unknown fields are rejected, so that none is silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    input: str = Field(
        description="Text to synthesize: letters of the voice's language, digits, usual punctuation, currency signs."
    )
    model: str | None = Field(None, description="A name from /v1/models; tts-1 and tts-1-hd select the same model.")
    voice: str | None = Field(None, description="An ID from /v1/audio/voices; default: the first one.")
    response_format: Format = Field("wav", description="pcm: 16-bit little-endian mono; opus: in Ogg.")
    speed: float = Field(
        1.0,
        description="Speaking rate: 2.0 is twice as fast. Rejected if the engine has a fixed rate.",
        json_schema_extra={"minimum": SPEED[0], "maximum": SPEED[1]},
    )
    stream_format: Literal["audio", "sse"] | None = Field(
        None,
        description="If set, wav or pcm is streamed sentence by sentence during the synthesis: as audio, or as "
        "server-sent events (speech.audio.delta with the next bytes in base64, finally speech.audio.done).",
    )
    seed: int | None = Field(
        None,
        description="The same seed, text, voice and speed give the same audio from the same release on the same "
        "machine. Rejected if the engine does not support seeds.",
    )
    ref_audio: LargeText | None = Field(
        None,
        description="Recording of the voice to clone, 3 to 10 s of wav, flac, ogg, aiff or mp3: in base64, as a data: "
        "URL, or the name of a file in the voices folder. Rejected if the engine does not support voice cloning.",
    )
    ref_text: str | None = Field(None, description="Transcript of ref_audio.")


def speech_routes(speech: Speech, voices_folder: Path) -> APIRouter:
    """Return the routes /v1/audio/speech, /v1/audio/voices and /v1/models; prompts are files of `voices_folder`."""
    router = APIRouter(tags=["speech"])

    described = json_body(SpeechBody, openapi.speech_fields(speech, OPENAI_MODELS))
    openapi.restrict_streamed_formats(described)

    @router.post(
        "/v1/audio/speech",
        response_class=Response,
        openapi_extra=described,
        responses=openapi.synthesis_responses(openapi.AUDIO),
    )
    async def speak(request: Request) -> Response:
        """Synthesize `input`, as a file or, with `stream_format`, as a stream during the synthesis."""
        body = await read_json(request, SpeechBody)
        _check_model(body.model, speech)
        form = body.response_format
        if body.stream_format and form not in STREAMED:
            message = f"response_format {form} does not support streaming; use {' or '.join(STREAMED)}"
            raise InvalidError(message, code="not_streamable", param="response_format")
        utterance = speech.utterance(body.input, body.voice, body.speed)
        utterance = replace(utterance, seed=_seed(body, speech), prompt=await _prompt(body, speech, voices_folder))
        client_of(request.scope).charge(utterance.text)
        if body.stream_format:
            return SpeechStream(speech, utterance, form, events=body.stream_format == "sse")
        return await _file(request, speech, utterance, form)

    @router.get("/v1/audio/voices", responses=openapi.REFUSED)
    async def voices() -> dict[str, Any]:
        """List the voices of /v1/audio/speech."""
        return {"voices": [{"id": voice.id, "name": voice.name, "language": voice.language} for voice in speech.voices]}

    @router.get("/v1/models", responses=openapi.REFUSED)
    async def models() -> dict[str, Any]:
        """List the loaded model in OpenAI's format."""
        known = speech.engine.describe()
        return {"object": "list", "data": [{"id": known.model, "object": "model", "owned_by": known.engine}]}

    return router


def _check_model(name: str | None, speech: Speech) -> None:
    known = speech.engine.describe().model
    if name not in (None, known, *OPENAI_MODELS):
        names = ", ".join((known, *OPENAI_MODELS))
        raise InvalidError(
            f"model {quote(name)} does not exist; models are {names}", code="no_such_model", param="model"
        )


def _seed(body: SpeechBody, speech: Speech) -> int | None:
    if body.seed is None:
        return None
    about = speech.engine.describe()
    if not about.seeds:
        message = f"engine {about.engine} does not support seed; leave it out"
        raise InvalidError(message, code="seed_not_supported", param="seed")
    if not SEED[0] <= body.seed <= SEED[1]:
        message = f"seed must be from {SEED[0]} to {SEED[1]}, not {quote(body.seed)}"
        raise InvalidError(message, code="out_of_range", param="seed")
    return body.seed


async def _prompt(body: SpeechBody, speech: Speech, folder: Path) -> VoiceReference | None:
    if body.ref_audio is None and body.ref_text is None:
        return None
    about = speech.engine.describe()
    param = "ref_text" if body.ref_audio is None else "ref_audio"
    if not about.prompts:
        message = f"engine {about.engine} does not support voice cloning; leave {param} out"
        raise InvalidError(message, code="prompt_not_supported", param=param)
    if body.ref_audio is None:
        raise InvalidError("ref_text needs ref_audio, which is missing", code="missing", param="ref_audio")
    if len(body.ref_text or "") > speech.max_chars:
        message = f"ref_text has more than {speech.max_chars} characters"
        raise InvalidError(message, code="text_too_long", param="ref_text")
    prompt = await untrusted(read_reference, folder, body.ref_audio, body.ref_text or "")
    return check_prompt(prompt, about, "ref_audio", "ref_text")


async def _file(request: Request, speech: Speech, utterance: Utterance, form: str) -> Response:
    spoken = await while_connected(request.receive, speech.synthesize(utterance))
    content = await encoded(spoken.pieces, spoken.sample_rate, form)
    headers = audio_headers(form, spoken.sample_rate) | {"X-Audio-Duration": f"{spoken.seconds:.3f}"}
    if spoken.seconds:
        headers["X-Realtime-Factor"] = f"{spoken.worked_s / spoken.seconds:.3f}"
    return Response(content, headers=headers)
