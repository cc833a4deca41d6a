from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from service.app import Service
from service.keys import new
from service.settings import Settings
from tests.unit.service.support import FakeEngine, client_of

pytestmark = pytest.mark.anyio

KEY, LINE = new("anna", {})
SPEECH = "/v1/audio/speech"
CHAT = "https://chat.example"


@asynccontextmanager
async def serving(settings: Settings, *origins: str) -> AsyncIterator[httpx.AsyncClient]:
    """A service with an API key whose page behaves as Gradio: it allows every origin with credentials."""

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"access-control-allow-origin", CHAT.encode()), (b"access-control-allow-credentials", b"true")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"page"})

    keys = settings.control.parent / "keys"
    keys.write_text(LINE)
    service = Service(dataclasses.replace(settings, cors_origins=origins, api_keys=keys), FakeEngine())
    service.front.page = page
    await service.lifecycle.load()
    async with client_of(service) as client:
        yield client
    await service.close()


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }


def allowed(response: httpx.Response) -> str:
    return str(response.headers.get("access-control-allow-origin", ""))


@pytest.mark.parametrize(
    ("origins", "origin", "answer"),
    [((CHAT,), CHAT, CHAT), ((CHAT,), "https://evil.example", ""), (("*",), CHAT, "*"), ((), CHAT, "")],
)
async def test_origins_of_the_setting_may_call_the_api(
    settings: Settings, origins: tuple[str, ...], origin: str, answer: str
) -> None:
    async with serving(settings, *origins) as client:
        asked = await client.options(SPEECH, headers=preflight(origin))
        assert allowed(asked) == answer
        assert (asked.status_code == 200) is bool(answer)
        headers = {"Origin": origin, "Authorization": f"Bearer {KEY}"}
        spoken = await client.post(SPEECH, json={"input": "Yes.", "x": 1}, headers=headers)
        assert (spoken.status_code, allowed(spoken)) == (200, answer)
        if answer:
            assert "X-Ignored-Fields" in spoken.headers["access-control-expose-headers"]
        refused = await client.post(SPEECH, json={"input": "Yes."}, headers={"Origin": origin})
        assert (refused.status_code, allowed(refused)) == (401, answer)


async def test_the_page_allows_no_other_origin(settings: Settings) -> None:
    async with serving(settings, "*") as client:
        headers = {"Origin": CHAT, "Authorization": f"Bearer {KEY}"}
        response = await client.get("/config", headers=headers)
        assert response.text == "page"
        assert not [name for name in response.headers if name.startswith("access-control-")]
