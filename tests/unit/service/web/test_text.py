"""Texts of requests pass the front end before they reach an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from service.app import Service
from service.sentence import Sentence
from service.settings import Settings
from tests.unit.service.support import FakeEngine, client_of

pytestmark = pytest.mark.anyio
SPEECH = "/v1/audio/speech"
STREAMED = {"stream_format": "audio", "response_format": "wav"}


@pytest.fixture
async def service(settings: Settings, engine: FakeEngine) -> AsyncIterator[Service]:
    engine.normalizes = False
    service = Service(settings, engine)
    await service.lifecycle.load()
    yield service
    service.scheduler.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def test_the_engine_gets_words_in_sentences(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    long = "Dr. Smith paid **$5.50** &amp; left.\n\nIt was 10:30, and the rest of the day was as quiet as ever. " * 3
    for text in (long[:90], long):  # a long text is read in a thread
        assert (await client.post(SPEECH, json={"input": text})).status_code == 200
        assert engine.last
        assert engine.last.sentences[0] == Sentence("Doctor Smith paid five dollars fifty and left.", 0.35)
        assert engine.last.text.startswith("Doctor Smith paid five dollars fifty and left. It was ten thirty,")


@pytest.mark.parametrize("more", [{}, STREAMED])
async def test_a_header_and_a_metric_name_what_was_left_out(
    client: httpx.AsyncClient, service: Service, more: dict[str, str]
) -> None:
    response = await client.post(SPEECH, json={"input": "Great job 🎉🎉 ⌘!"} | more)
    assert response.status_code == 200
    assert response.headers["x-text-dropped"] == (
        "emoji 2, symbol 1: U+1F389 PARTY POPPER, U+2318 PLACE OF INTEREST SIGN"
    )
    plain = await client.post(SPEECH, json={"input": "Great job!"} | more)
    assert "x-text-dropped" not in plain.headers
    metrics = (await service.metrics.render()).decode()
    assert 'tts_text_dropped_total{kind="emoji"} 2.0' in metrics
    assert 'tts_text_dropped_total{kind="symbol"} 1.0' in metrics


@pytest.mark.parametrize(
    ("text", "code"), [("...", "empty_text"), ("😀", "empty_text"), ("The word мир.", "unspeakable_text")]
)
async def test_a_text_without_words_is_refused(client: httpx.AsyncClient, text: str, code: str) -> None:
    response = await client.post(SPEECH, json={"input": text})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["param"] == "input"


async def test_a_strict_request_refuses_what_would_be_left_out(client: httpx.AsyncClient) -> None:
    for strict, status in ((True, 400), (False, 200)):
        response = await client.post(SPEECH, json={"input": "Great job 🎉!", "strict": strict})
        assert response.status_code == status
    refused = (await client.post(SPEECH, json={"input": "Great job 🎉!", "strict": True})).json()["error"]
    assert (refused["code"], refused["param"]) == ("unspeakable_text", "input")
    assert "U+1F389 PARTY POPPER" in refused["message"]


async def test_raw_phonemes_never_reach_an_engine(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert (await client.post(SPEECH, json={"input": "He wrote [[[h@loU]]] there."})).status_code == 200
    assert engine.last
    assert "[" not in engine.last.text
