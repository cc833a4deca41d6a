"""POST /v1/audio/speech: OpenAI's speech route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service.access.guard import client_of
from service.audio.encoding import encoded_rate
from service.audio.reference import check_prompt, read_reference
from service.engine import Utterance, VoiceReference
from service.errors import InvalidError
from service.fields import SEED, quote
from service.settings import Settings
from service.synthesis.speech import Speech, while_connected
from service.telemetry.record import current_record
from service.threads import untrusted
from service.web import openapi
from service.web.client_names import ClientNames
from service.web.json_body import json_body, read_json
from service.web.speech_body import SpeechBody
from service.web.streaming import Delivery, SpeechStream, audio_headers


def speech_routes(speech: Speech, settings: Settings) -> APIRouter:
    """Return the route; prompts are files of the folder `settings.voices`."""
    router = APIRouter(tags=["speech"])
    names = ClientNames(speech, settings)
    described = json_body(SpeechBody, openapi.speech_fields(speech, names))
    openapi.describe_strictness(described, strict=settings.strict)

    @router.post(
        "/v1/audio/speech",
        response_class=Response,
        openapi_extra=described,
        responses=openapi.synthesis_responses(openapi.AUDIO),
    )
    async def speak(request: Request) -> Response:
        """Synthesize `input`, streamed as it is spoken or complete (field `stream`)."""
        body = await read_json(request, SpeechBody)
        strict = settings.strict if body.strict is None else body.strict
        if strict:
            body.check_strict()
        current_record().format = body.form
        names.check_model(body.model)
        speed = 1.0 if body.speed is None else body.speed
        utterance = await speech.read_utterance(body.input, names.voice(body.voice), speed, strict=strict)
        utterance = replace(utterance, seed=_seed(body, speech), prompt=await _prompt(body, speech, settings.voices))
        client_of(request.scope).charge(utterance.text)
        notes = body.notes() | ({"X-Text-Dropped": utterance.dropped} if utterance.dropped else {})
        if body.streamed:
            return SpeechStream(speech, utterance, Delivery(body.form, body.stream_format == "sse", notes))
        return await _file(request, speech, utterance, body.form, notes)

    return router


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


async def _file(
    request: Request, speech: Speech, utterance: Utterance, form: str, notes: Mapping[str, str]
) -> Response:
    spoken = await while_connected(request.receive, speech.synthesize(utterance, form))
    headers = audio_headers(form, encoded_rate(spoken.sample_rate, form)) | dict(notes)
    headers["X-Audio-Duration"] = f"{spoken.seconds:.3f}"
    if spoken.seconds:
        headers["X-Realtime-Factor"] = f"{spoken.worked_s / spoken.seconds:.3f}"
    return Response(spoken.content, headers=headers)
