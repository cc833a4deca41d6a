"""POST /api/predict: [prompt_audio, prompt_text, text], the request of clients of older Gradio services."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.access.guard import client_of
from service.audio.reference import check_prompt, find_prompt, read_prompt
from service.errors import InvalidError
from service.synthesis.speech import Speech, while_connected
from service.telemetry.record import current_record
from service.web import openapi
from service.web.json_body import json_body, read_json


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
    async def predict(request: Request) -> dict[str, Any]:
        """Synthesize the text; the response is {"data": [{"name", "data": <data URL>}, <message>]}."""
        prompt_audio, prompt_text, text = (await read_json(request, PredictBody)).data
        if len(prompt_text or "") > speech.max_chars:
            message = f"data[1] has more than {speech.max_chars} characters"
            raise InvalidError(message, code="text_too_long", param="data[1]")
        utterance = speech.utterance(text or "", None, 1.0, param="data[2]")
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
        current_record().format = "wav"
        client_of(request.scope).charge(utterance.text)
        spoken = await while_connected(request.receive, speech.synthesize(utterance))
        rate = spoken.sample_rate
        content = await asyncio.to_thread(_data_url, spoken.content)
        message = f"output: {spoken.seconds:.2f} s of speech at {rate} Hz, voice {utterance.voice}.{note}"
        return {"data": [{"name": "speech.wav", "data": content}, message]}

    return router


def _data_url(content: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(content).decode()
