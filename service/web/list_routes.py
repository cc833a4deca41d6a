"""The lists of voices and models, in the forms that clients of OpenAI and of similar services read."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Path

from service.errors import NotFoundError
from service.fields import quote
from service.settings import Settings
from service.synthesis.speech import Speech
from service.web import openapi
from service.web.client_names import ClientNames


def list_routes(speech: Speech, settings: Settings) -> APIRouter:
    """Return the routes under /v1/models and /v1/audio."""
    router = APIRouter(tags=["speech"])
    names = ClientNames(speech, settings)
    created = int(time.time())

    def described(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": speech.engine.describe().engine}

    @router.get("/v1/models", responses=openapi.REFUSED)
    @router.get("/v1/audio/models", responses=openapi.REFUSED)
    async def models() -> dict[str, Any]:
        """List the loaded model and the other names that select it."""
        found = [described(name) for name in dict.fromkeys((speech.engine.describe().model, *names.models))]
        return {"object": "list", "data": found, "models": found}

    known = Path(json_schema_extra={"enum": [speech.engine.describe().model, *names.models]})

    @router.get("/v1/models/{name:path}", responses=openapi.REFUSED | openapi.NOT_FOUND)
    async def model(name: str = known) -> dict[str, Any]:
        """Describe one model."""
        if not names.is_model(name):
            message = f"model {quote(name)} does not exist; GET /v1/models lists the models"
            raise NotFoundError(message, code="model_not_found", param="model")
        return described(name)

    @router.get("/v1/audio/voices", responses=openapi.REFUSED)
    async def voices() -> dict[str, Any]:
        """List the voices, the default one first; names of OpenAI's voices select them too."""
        found = [{"id": voice.id, "name": voice.name, "language": voice.language} for voice in speech.voices]
        return {"object": "list", "data": found, "voices": found}

    return router
