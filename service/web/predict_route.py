"""POST /api/predict: [prompt_audio, prompt_text, text], the request of clients of older Gradio services."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from service.access.guard import client_of
from service.audio.reference import check_prompt, find_prompt, read_prompt
from service.errors import InvalidError
from service.synthesis.speech import Speech, while_connected
from service.telemetry.record import current_record
from service.web import openapi
from service.web.json_body import json_body, read_json

_STEP = 3 << 16  # bytes; a multiple of three, so that the parts join


class PredictBody(BaseModel):
    """Three values in order: a file in the voices folder or none, its transcript or none, the text to synthesize."""

    model_config = ConfigDict(extra="ignore", strict=True)  # such clients also send fn_index, session_hash

    data: list[str | None] = Field(
        min_length=3, max_length=3, examples=[["examples/sample.wav", "", "test"]],
        description="[prompt_audio, prompt_text, text]; null or an empty string stands for no prompt.",
    )  # fmt: skip


def predict_routes(speech: Speech, voices: Path) -> APIRouter:
    """Return the route; prompt names resolve only to files in the folder `voices`."""
    router = APIRouter(tags=["speech"])
    described = json_body(PredictBody, openapi.predict_fields(speech, voices))

    @router.post("/api/predict", openapi_extra=described, responses=openapi.synthesis_responses())
    async def predict(request: Request) -> Response:
        """Synthesize the text; the response is {"data": [{"name", "data": <data URL>}, <message>]}."""
        prompt_audio, prompt_text, text = (await read_json(request, PredictBody)).data
        if len(prompt_text or "") > speech.max_chars:
            message = f"data[1] has more than {speech.max_chars} characters"
            raise InvalidError(message, code="text_too_long", param="data[1]")
        utterance = await speech.read_utterance(text or "", None, 1.0, param="data[2]")
        note = ""
        if prompt_audio:
            path = find_prompt(voices, prompt_audio, "data[0]")
            prompt = await asyncio.to_thread(read_prompt, path, "data[0]", prompt_text or "")
            about = speech.engine.describe()
            if about.prompts:
                utterance = replace(utterance, prompt=check_prompt(prompt, about, "data[0]", "data[1]"))
            else:
                seconds = f"{prompt.seconds:.2f} s"
                note = (
                    f" The prompt audio ({seconds}) was not used: engine {about.engine} does not support voice cloning."
                )
        if utterance.dropped:
            note += f" Left out of the text: {utterance.dropped}."
        current_record().format = "wav"
        client_of(request.scope).charge(utterance.text)
        spoken = await while_connected(request.receive, speech.synthesize(utterance))
        rate = spoken.sample_rate
        message = f"output: {spoken.seconds:.2f} s of speech at {rate} Hz, voice {utterance.voice}.{note}"
        parts = await asyncio.to_thread(_response, spoken.content, message)
        headers = {"Content-Length": str(sum(map(len, parts)))}
        return StreamingResponse(_each(parts), headers=headers, media_type="application/json")

    return router


def _response(content: bytes, message: str) -> list[bytes]:
    """Return the response in parts: one call for all would hold the interpreter's lock for tens of milliseconds."""
    url = "data:audio/wav;base64,"
    head, tail = json.dumps({"data": [{"name": "speech.wav", "data": url}, message]}).split(url, 1)
    coded = [base64.b64encode(content[start : start + _STEP]) for start in range(0, len(content), _STEP)]
    return [f"{head}{url}".encode(), *coded, tail.encode()]


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
