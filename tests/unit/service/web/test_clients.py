"""Requests as clients of OpenAI's speech API and of similar services send them (clients.jsonl)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine, client_of

pytestmark = pytest.mark.anyio

RECORDED = [json.loads(line) for line in Path(__file__).with_name("clients.jsonl").read_text().splitlines()]
SPEECH = "/v1/audio/speech"


async def test_the_description_allows_what_the_service_accepts(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"][SPEECH]["post"]["requestBody"]
    validator = Draft202012Validator(described["content"]["application/json"]["schema"])
    for recorded in RECORDED:
        valid = validator.is_valid(recorded["body"])
        assert valid is (recorded["expect"]["status"] == 200), recorded["client"]


@pytest.mark.parametrize("recorded", RECORDED, ids=[recorded["client"] for recorded in RECORDED])
async def test_recorded_requests(client: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    response = await client.post(SPEECH, json=recorded["body"])
    expected = recorded["expect"]
    assert response.status_code == expected["status"], response.text
    if expected["status"] != 200:
        assert response.json()["error"]["code"] == expected["code"]
        return
    assert response.headers["content-type"] == expected["media"]
    assert response.headers["x-sample-rate"] == expected["rate"]
    assert response.headers.get("x-ignored-fields", "") == expected["ignored"]
    assert response.headers.get("x-changed-fields", "") == expected.get("changed", "")
    assert response.content


async def test_a_whole_seed_may_be_written_as_a_float(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.seeds = True
    for seed in (7, 7.0, "7", 7e0):
        assert (await client.post(SPEECH, json={"input": "Yes.", "seed": seed})).status_code == 200
        assert engine.last
        assert engine.last.seed == 7
        engine.last = None
    assert (await client.post(SPEECH, json={"input": "Yes.", "seed": 7.5})).status_code == 400


async def test_many_unknown_fields_are_named_in_a_short_header(client: httpx.AsyncClient) -> None:
    fields = {f"field_{number:03}" + "x" * 500: 1 for number in range(100)}
    response = await client.post(SPEECH, json={"input": "Yes."} | fields)
    header = response.headers["x-ignored-fields"]
    assert header.startswith("field_000xxx")
    assert header.endswith(" and 80 more")
    assert len(header) < 1000


@pytest.fixture
async def named(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A strict service with names of voices and models."""
    named = {"TTS_VOICE_NAMES": "af_heart=joe zoe=anna", "TTS_MODEL_NAMES": "kokoro", "TTS_STRICT": "1"}
    chosen = Settings.from_env(named)
    settings = dataclasses.replace(
        settings, voice_names=chosen.voice_names, model_names=chosen.model_names, strict=chosen.strict
    )
    service = Service(settings, engine)
    await service.lifecycle.load()
    async with client_of(service) as client:
        yield client
    await service.close()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"voice": "af_heart", "model": "kokoro"}, 200, ""),
        ({"voice": "alloy", "model": "kokoro-2025-01-01"}, 200, ""),
        ({"voice": "zoe"}, 400, 'voice "zoe" selects voice "anna", which does not exist'),
        ({"model": "tts-1"}, 400, "models are fake-1, kokoro"),
        ({"spead": 2}, 400, "Did you mean 'speed'?"),
        ({"speed": "2"}, 400, "speed is text"),
        ({"instructions": "Calmly.", "strict": False}, 200, ""),
    ],
)
async def test_names_and_strictness_are_settings(
    named: httpx.AsyncClient, body: dict[str, Any], status: int, message: str
) -> None:
    response = await named.post(SPEECH, json={"input": "Yes."} | body)
    assert response.status_code == status, response.text
    assert message in (response.text.replace('\\"', '"') if status != 200 else "")


async def test_a_voice_of_the_engine_wins_over_a_name(named: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.voices = ("joe", "nova")
    for voice in ("nova", "alloy"):
        await named.post(SPEECH, json={"input": "Yes.", "voice": voice})
        assert engine.last
        assert engine.last.voice == ("nova" if voice == "nova" else "joe")


LISTS = [
    ("/v1/models", "models"),
    ("/v1/models/", "data"),
    ("/v1/audio/models", "models"),
    ("//v1//models", "data"),
    ("/v1/audio/voices", "voices"),
    ("/v1/audio/voices/", "data"),
]


@pytest.mark.parametrize(("path", "key"), LISTS)
async def test_lists_in_the_forms_that_clients_read(client: httpx.AsyncClient, path: str, key: str) -> None:
    listed = (await client.get(httpx.URL("http://service", raw_path=path.encode()))).json()
    assert listed["object"] == "list"
    first, *others = listed[key]
    assert first["id"] == ("joe" if "voices" in path else "fake-1")
    if "voices" in path:
        assert first == {"id": "joe", "name": "Joe", "language": "en"}
        return
    assert [other["id"] for other in others] == ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert first["created"] > 1_700_000_000
    assert await is_described(client, "tts-1-hd-1106")


async def is_described(client: httpx.AsyncClient, name: str) -> bool:
    described = (await client.get(f"/v1/models/{name}")).json()
    return bool(described["id"] == name and described["object"] == "model")


@pytest.mark.parametrize("path", ["/v1/audio/speech/", "/v1//audio/speech", "//v1/audio//speech//"])
async def test_slashes_do_not_matter(client: httpx.AsyncClient, path: str) -> None:
    url = httpx.URL("http://service", raw_path=path.encode())
    assert (await client.post(url, json={"input": "Yes."})).status_code == 200


async def test_another_spelling_of_a_path_has_the_same_limits(settings: Settings, engine: FakeEngine) -> None:
    service = Service(dataclasses.replace(settings, client_rpm=1), engine)
    await service.lifecycle.load()
    async with client_of(service) as client:
        statuses = [(await client.post(f"{SPEECH}{slash}", json={"input": "Yes."})).status_code for slash in ("", "/")]
    assert statuses == [200, 429]
    await service.close()


async def test_older_gradio_clients_send_a_slash(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/predict/", json={"data": ["", "", "Yes."]})).status_code == 200


@pytest.mark.parametrize("path", ["//metrics", "/metrics/", "//readyz", "/livez/", "/nope/"])
async def test_internal_paths_have_one_spelling(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(httpx.URL("http://service", raw_path=path.encode()))).status_code == 404


async def test_the_old_path_of_the_documentation(client: httpx.AsyncClient) -> None:
    for path in ("/__docs__", "/__docs__/"):
        response = await client.get(path, follow_redirects=True)
        assert (response.status_code, response.url.path) == (200, "/docs")


async def test_health_is_the_readiness_without_details(settings: Settings, engine: FakeEngine) -> None:
    service = Service(settings, engine)
    async with client_of(service) as client:
        starting = await client.get("/health")
        await service.lifecycle.load()
        ready = await client.get("/health")
    assert (starting.status_code, ready.status_code) == (503, 200)
    assert starting.json().keys() == {"status"}
    assert ready.json() == {"status": "ok"}
    await service.close()


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip"])
async def test_a_compressed_body_is_refused_by_name(client: httpx.AsyncClient, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = await client.post(SPEECH, content=b"\x1f\x8b\x08", headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (
        415,
        "unsupported_content_encoding",
        "Content-Encoding",
    )
    assert encoding in error["message"]
