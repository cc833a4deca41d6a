"""The HTTP API with the embedded voice."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from harness.decoding import decoded
from service.app import Service
from service.engine import Engine
from service.settings import Settings
from service.telemetry.logs import TextFormatter
from service.web.body_limit import MAX_BODY
from tests.unit.service.support import JSON, at_rest, client_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def real(settings: Settings, piper: Engine) -> AsyncIterator[Service]:
    """A ready service with the shared embedded voice; it is not closed, because that would unload the voice."""
    service = Service(settings, piper)
    await service.lifecycle.load()
    yield service
    service.scheduler.close()


@pytest.fixture
async def client(real: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(real) as client:
        yield client


@pytest.fixture(autouse=True)
def quick_load(piper: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the load and the warm-up: the shared voice is loaded."""
    monkeypatch.setattr(piper, "load", lambda progress: progress("loaded"))
    monkeypatch.setattr("service.synthesis.lifecycle.warm_up", lambda _engine: None)


# Format, media type, sample rate, and the seconds that its encoder adds at most: MP3 and AAC have no length.
FILES = [
    ("wav", "audio/wav", 22050, 0.0),
    ("flac", "audio/flac", 22050, 0.0),
    ("mp3", "audio/mpeg", 24000, 0.12),
    ("opus", "audio/ogg; codecs=opus", 24000, 0.0),
    ("aac", "audio/aac", 24000, 0.12),
]


@pytest.mark.parametrize(("form", "media", "rate", "added_s"), FILES)
async def test_speech_is_an_audible_file(
    client: httpx.AsyncClient, form: str, media: str, rate: int, added_s: float
) -> None:
    body = {"input": "Good morning.", "response_format": form, "stream": False}
    response = await client.post("/v1/audio/speech", json=body)
    assert (response.status_code, response.headers["content-type"]) == (200, media)
    assert response.headers["x-sample-rate"] == str(rate)
    samples, found = decoded(response.content)
    spoken_s = float(response.headers["x-audio-duration"])
    assert -0.001 < samples.size / found - spoken_s < added_s + 0.001
    assert 0.001 < float(response.headers["x-realtime-factor"]) < 20
    assert 0.4 < spoken_s < 2
    assert np.abs(samples).max() > 3000


async def test_all_fields_of_openai_are_accepted(client: httpx.AsyncClient) -> None:
    body = {"model": "tts-1", "input": "Yes.", "voice": "joe", "response_format": "pcm", "speed": 4}
    response = await client.post("/v1/audio/speech", json=body)
    assert (response.headers["content-type"], response.headers["x-sample-rate"]) == ("audio/pcm", "24000")
    assert 0.05 < len(response.content) / 2 / 24000 < 0.5


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
async def test_a_stream_has_every_sentence(client: httpx.AsyncClient, form: str) -> None:
    body = {"input": "One. Two. Three.", "response_format": form, "stream": True}
    async with client.stream("POST", "/v1/audio/speech", json=body) as response:
        assert response.status_code == 200
        assert "content-length" not in response.headers
        assert "x-audio-duration" not in response.headers
        samples, rate = decoded(b"".join([chunk async for chunk in response.aiter_raw()]))
    assert 1.0 < samples.size / rate < 4


async def test_predict_returns_audio_and_a_message_with_output(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/predict", json={"data": ["examples/sample.wav", "", "test"]})
    audio, message = response.json()["data"]
    head, _, content = audio["data"].partition(",")
    assert (audio["name"], head) == ("speech.wav", "data:audio/wav;base64")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert len(samples) / rate > 0.3
    assert "output" in message
    assert "was not used" in message
    assert "22050 Hz" in message


@pytest.mark.parametrize("nothing", [None, ""])
async def test_predict_without_a_prompt(client: httpx.AsyncClient, nothing: str | None) -> None:
    response = await client.post("/api/predict", json={"data": [nothing, nothing, "test"], "fn_index": 0})
    assert response.status_code == 200
    assert "prompt audio" not in response.json()["data"][1]


def speech(**fields: Any) -> tuple[str, str, bytes]:
    return "POST", "/v1/audio/speech", json.dumps({"input": "x"} | fields).encode()


def predict(*data: Any) -> tuple[str, str, bytes]:
    return "POST", "/api/predict", json.dumps({"data": data}).encode()


# Request, status, and a part of the message.
BAD = [
    (speech(input=""), 400, "input is empty"),
    (speech(input="..."), 400, "no letter or digit"),
    (speech(input="x" * 100_000), 400, "100000 characters, at most 4096"),
    (speech(input="output \u043c"), 400, "U+043C"),
    (speech(input="😀"), 400, "no letter or digit"),
    (speech(input="你好"), 400, "U+4F60"),
    (speech(input=5), 400, "input is 5"),
    (speech(input=None), 400, "input is missing"),
    (speech(input=["One.", "Two."]), 400, 'input is ["One.", "Two."]'),
    (speech(speed=0.2), 400, "speed must be from 0.25 to 4, not 0.2"),
    (speech(speed=5), 400, "speed must be from 0.25 to 4, not 5"),
    (speech(speed="fast"), 400, 'speed is "fast"'),
    (speech(speed=True), 400, "speed is true"),
    (speech(voice="output"), 400, "voices are joe"),
    (speech(voice={"id": "voice_1234"}), 400, 'voice "voice_1234" does not exist'),
    (speech(voice={"name": "joe"}), 400, "voice is {"),
    (speech(model="gpt"), 400, "models are en_US-joe-medium, tts-1"),
    (speech(model="tts-1-mini"), 400, "models are en_US-joe-medium, tts-1"),
    (speech(response_format="ogg"), 400, "'mp3', 'opus', 'aac', 'flac', 'wav' or 'pcm'"),
    (speech(stream_format="chunks"), 400, "'audio' or 'sse'"),
    (speech(seed=-1), 400, "seed must be from 0 to 2147483647, not -1"),
    (speech(seed=2**31), 400, "seed must be from"),
    (speech(seed=1.5), 400, "seed is 1.5"),
    (speech(ref_audio="examples/sample.wav"), 400, "does not support voice cloning; leave ref_audio out"),
    (speech(ref_text="Yes."), 400, "leave ref_text out"),
    (speech(stream="perhaps"), 400, 'stream is "perhaps"'),
    (speech(instructions="Calmly.", strict=True), 400, 'field "instructions" has no effect'),
    (speech(response_fromat="wav", strict=True), 400, "Did you mean 'response_format'?"),
    (speech(speed="1.5", strict=True), 400, "speed is text; send 1.5 without quotes"),
    (("POST", "/v1/audio/speech", b"{}"), 400, "input is missing"),
    (("POST", "/v1/audio/speech", b'["output"]'), 400, "JSON object"),
    (("POST", "/v1/audio/speech", b'{"input": "output"'), 400, "not JSON"),
    (("POST", "/v1/audio/speech", b""), 400, "not JSON"),
    (("POST", "/v1/audio/speech", b"\xff\xfe\xfa"), 400, "not JSON"),
    (("POST", "/v1/audio/speech", b'{"input": "x", "speed": NaN}'), 400, "NaN"),
    (("POST", "/v1/audio/speech", b"[" * 100_000), 400, "not JSON"),
    (("POST", "/v1/audio/speech", b"x" * (MAX_BODY + 1)), 413, "196608"),
    (predict(), 400, "data is []"),
    (predict(None, None), 400, "data"),
    (predict(None, None, None), 400, "data[2] is empty"),
    (predict({"name": "x"}, "", "x"), 400, "data[0]"),
    (predict("../__init__.py", "", "x"), 400, "data[0] is not the name of a file"),
    (predict("http://output/a.wav", "", "x"), 400, "data[0] is not the name of a file"),
    (predict("", "x" * 5000, "x"), 400, "data[1] has more than 4096"),
    (("GET", "/nope/output", b""), 404, "/nope/out-put"),
    (("GET", "/v1/models/gpt-4", b""), 404, 'model "gpt-4" does not exist'),
    (("GET", "/v1/audio/speech", b""), 405, "GET is not allowed"),
    (("DELETE", "/output", b""), 404, "does not exist"),
    (("PUT", "/livez", b""), 405, "PUT is not allowed"),
]


@pytest.mark.parametrize(("sent", "status", "named"), BAD, ids=[f"{n}-{case[1]}" for n, case in enumerate(BAD)])
async def test_invalid_input_gets_an_error_in_the_common_format(
    client: httpx.AsyncClient, sent: tuple[str, str, bytes], status: int, named: str
) -> None:
    method, path, content = sent
    response = await client.request(method, path, content=content, headers=JSON)
    check_error(response, status, named)


def check_error(response: httpx.Response, status: int, named: str) -> None:
    """Check the error format of OpenAI, the message and the headers; "output" would mean success to older clients."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert named in error["message"]
    assert error["code"]
    assert "output" not in response.text.lower()
    assert response.headers["x-release"] == "test-1"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "", "application/output"])
async def test_another_content_type_is_rejected(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    response = await client.post("/v1/audio/speech", content=b'{"input": "x"}', headers=headers)
    check_error(response, 415, "application/json")


async def test_a_body_without_a_length_is_limited_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 1024 * 1024

    check_error(await client.post("/v1/audio/speech", content=endless(), headers=JSON), 413, "196608")


async def test_an_unexpected_error_does_not_show_its_details(
    client: httpx.AsyncClient, real: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **_more: object) -> None:
        raise KeyError("secret output")

    caplog.handler.setFormatter(TextFormatter())

    monkeypatch.setattr(real.speech, "utterance", broken)
    headers = {"X-Request-Id": "my-id_1.2"}
    transport = httpx.ASGITransport(real.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as raw:
        response = await raw.post("/v1/audio/speech", json={"input": "x"}, headers=headers)
    check_error(response, 500, "my-id_1.2")
    assert "secret" not in response.text
    assert "unexpected error request_id=my-id_1.2" in caplog.text
    assert "secret output" in caplog.text


@pytest.mark.parametrize(("offered", "valid"), [("a.B-9_z", True), ("a b", False), ("x" * 129, False), ("é", False)])
async def test_a_valid_request_id_is_kept(client: httpx.AsyncClient, offered: str, valid: bool) -> None:
    headers = [(b"x-request-id", offered.encode("latin-1"))]
    response = await client.get("/livez", headers=headers)
    assert (response.headers["x-request-id"] == offered) == valid
    assert response.headers["x-request-id"]


async def test_the_documentation_needs_no_network(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "/v1/audio/speech" in page
    assert "0.25 to 4" in page
    assert "src=" not in page
    assert (await client.get("/openapi.json")).json()["paths"]["/api/predict"]


async def test_concurrent_short_texts_are_all_synthesized(client: httpx.AsyncClient, real: Service) -> None:
    responses = await asyncio.gather(*(client.post("/v1/audio/speech", json={"input": "Yes."}) for _ in range(10)))
    assert [response.status_code for response in responses] == [200] * 10
    assert real.scheduler.completed == 10
    await until(lambda: at_rest(real))
