"""OpenAI's client, unchanged, with the service over real HTTP."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import numpy as np
import openai
import pytest
import soundfile

from harness.decoding import seconds_of
from harness.plain_http import PLAIN
from service.formats import LENGTH_IN_HEADER, Format
from service.keys import new
from service.settings import Settings
from service.web import streaming
from tests.unit.service.support import SAMPLE_RATE, FakeEngine, Served, at_rest, served

KEY, LINE = new("anna", {})
THREE = "One. Two. Three."
# The three sentences of the fake engine take 0.3 s; mp3 and aac begin and end with some silence.
SECONDS = (0.3, 0.7)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FakeEngine]]:
    folder, engine = tmp_path_factory.mktemp("openai"), FakeEngine()
    (folder / "keys").write_text(LINE)
    settings = dataclasses.replace(
        Settings.from_env({}), control=folder / "c.sock", release="test-1", api_keys=folder / "keys",
        inside=frozenset({"127.0.0.9"}),
    )  # fmt: skip
    with served(settings, engine) as found:
        yield found, engine


@pytest.fixture
def engine(serving: tuple[Served, FakeEngine]) -> Iterator[FakeEngine]:
    """The engine of the shared service, reset after each test."""
    found, engine = serving
    engine.spoken.clear()
    yield engine
    engine.gate.set()
    engine.ungated = 0
    engine.seeds = engine.prompts = False
    engine.last = engine.error_after = None
    eventually(lambda: at_rest(found.service))


@pytest.fixture
def running(serving: tuple[Served, FakeEngine], engine: FakeEngine) -> Served:
    del engine
    return serving[0]


def client_with_key(running: Served, key: str) -> openai.OpenAI:
    """Return OpenAI's client, without retries."""
    http = openai.DefaultHttpxClient(verify=PLAIN)
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0, http_client=http)


@pytest.fixture
def client(running: Served) -> Iterator[openai.OpenAI]:
    with client_with_key(running, KEY) as client:
        yield client


@pytest.mark.parametrize("form", get_args(Format))
def test_speech_in_every_format(client: openai.OpenAI, form: Format, tmp_path: Path) -> None:
    response = client.audio.speech.create(model="tts-1", voice="joe", input=THREE, response_format=form)
    response.write_to_file(tmp_path / "speech")
    content = (tmp_path / "speech").read_bytes()
    assert SECONDS[0] <= seconds_in(content, form) < SECONDS[1]
    headers = response.response.headers
    assert headers["x-release"] == "test-1"
    assert headers.get("x-audio-duration") == ("0.300" if form in LENGTH_IN_HEADER else None)
    assert ("content-length" in headers) == (form in LENGTH_IN_HEADER)


def test_the_default_format_is_mp3(client: openai.OpenAI) -> None:
    response = client.audio.speech.create(model="gpt-4o-mini-tts", voice="coral", input=THREE)
    assert response.response.headers["content-type"] == "audio/mpeg"
    assert SECONDS[0] <= seconds_in(response.content, "mp3") < SECONDS[1]


def test_models(client: openai.OpenAI) -> None:
    listed = list(client.models.list())
    assert [model.id for model in listed] == ["fake-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert client.models.retrieve("gpt-4o-mini-tts-2025-12-15").created == listed[0].created > 1_700_000_000
    with pytest.raises(openai.NotFoundError, match="gpt-4"):
        client.models.retrieve("gpt-4")


def events_of(lines: Iterator[str]) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


@pytest.mark.parametrize("form", ["wav", "pcm", "mp3"])
def test_events_have_the_next_bytes_and_the_last_one_the_usage(
    client: openai.OpenAI, form: Literal["wav", "pcm", "mp3"]
) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=THREE, response_format=form, stream_format="sse"
    ) as response:
        assert response.headers["content-type"] == "text/event-stream"
        *deltas, done = events_of(response.iter_lines())
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    usage = {"input_tokens": len(THREE), "output_tokens": 6, "total_tokens": len(THREE) + 6}
    assert done == {"type": "speech.audio.done", "usage": usage}
    content = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert SECONDS[0] <= seconds_in(content, "pcm" if form == "wav" else form) < SECONDS[1]


def test_an_error_among_events_is_an_event(running: Served, client: openai.OpenAI, engine: FakeEngine) -> None:
    engine.error_after = 1
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=THREE, response_format="pcm", stream_format="sse"
    ) as response:
        first, *_, last = events_of(response.iter_lines())
    assert first["type"] == "speech.audio.delta"
    assert last["type"] == "error"
    assert (last["error"]["code"], last["error"]["type"]) == ("engine_failed", "server_error")
    eventually(lambda: at_rest(running.service))


def test_events_begin_with_a_comment_while_the_speech_takes_long(
    client: openai.OpenAI, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.01)
    engine.gate.clear()
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=THREE, response_format="pcm", stream_format="sse"
    ) as response:
        lines = response.iter_lines()
        assert next(lines) == ": keep-alive"
        engine.gate.set()
        events = events_of(line for line in lines if not line.startswith(":"))
    assert events[-1]["type"] == "speech.audio.done"


@pytest.mark.parametrize("stream", ["sse", "audio"])
def test_the_first_sentence_comes_early_and_a_disconnect_stops_the_rest(
    client: openai.OpenAI, running: Served, engine: FakeEngine, stream: Literal["sse", "audio"]
) -> None:
    service, abandoned = running.service, running.service.metrics.abandoned._value.get()
    engine.ungated = 1
    engine.gate.clear()
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=THREE, response_format="pcm", stream_format=stream
    ) as response:
        assert next(response.iter_bytes(100)), "the first bytes must arrive before the second sentence"
        assert engine.spoken == ["One"]
    eventually(lambda: service.traffic.requests == 0)
    engine.gate.set()
    eventually(lambda: at_rest(service))
    assert "Three" not in engine.spoken
    assert service.metrics.abandoned._value.get() == abandoned + 1


def test_a_disconnect_between_comments_stops_the_rest(
    client: openai.OpenAI, running: Served, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.01)
    engine.gate.clear()
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=THREE, response_format="pcm", stream_format="sse"
    ) as response:
        assert next(response.iter_lines()) == ": keep-alive"
    eventually(lambda: running.service.traffic.requests == 0)
    engine.gate.set()
    eventually(lambda: at_rest(running.service))
    assert "Three" not in engine.spoken


def test_errors_map_to_the_exceptions_of_the_client(client: openai.OpenAI, running: Served) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="tts-1", voice="zoe", input="x")
    assert refused.value.param == "voice"
    with (
        client_with_key(running, "tts_wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as unknown,
    ):
        stranger.models.list()
    assert unknown.value.code == "invalid_api_key"


def test_forged_address_headers_are_ignored(running: Served) -> None:
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        response = httpx.get(f"{running.url}/v1/models", headers={header: "127.0.0.9"}, verify=PLAIN)
        assert response.status_code == 401
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9", verify=PLAIN)) as inside:
        assert inside.get(f"{running.url}/v1/models").status_code == 200


def test_unsupported_features_are_rejected(client: openai.OpenAI, engine: FakeEngine) -> None:
    for extra, code in (({"seed": 3}, "seed_not_supported"), ({"ref_audio": "a.wav"}, "prompt_not_supported")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.speech.create(model="tts-1", voice="joe", input="x", extra_body=extra)
        assert refused.value.code == code
    assert "x" not in engine.spoken


def test_a_seed_and_a_prompt_reach_the_engine(client: openai.OpenAI, engine: FakeEngine) -> None:
    engine.seeds = engine.prompts = True
    file = io.BytesIO()
    stereo = np.stack([np.full(4 * SAMPLE_RATE, 1000), np.full(4 * SAMPLE_RATE, 3000)], axis=1).astype(np.int16)
    soundfile.write(file, stereo, SAMPLE_RATE, format="FLAC")
    for ref in (base64.b64encode(file.getvalue()).decode(), "examples/sample.wav"):
        extra = {"seed": 3, "ref_audio": ref, "ref_text": "These are the words."}
        client.audio.speech.create(model="tts-1", voice="joe", input="x", extra_body=extra)
        assert engine.last
        assert engine.last.seed == 3
        assert engine.last.prompt
        assert engine.last.prompt.text == "These are the words."
        assert 3 < engine.last.prompt.seconds < 5
        if "." not in ref:
            assert engine.last.prompt.samples.tolist() == [2000] * 4 * SAMPLE_RATE


BAD_PROMPTS = [
    ({"ref_text": "x"}, "ref_audio"),
    ({"ref_audio": "no base64!"}, "neither base64"),
    ({"ref_audio": ""}, "not readable audio"),
    ({"ref_audio": "AAAA"}, "not readable audio"),
    ({"ref_audio": "../service/app.wav"}, "not the name of a file in the voices folder"),
    ({"ref_audio": "http://host/a.wav"}, "not the name of a file in the voices folder"),
    ({"ref_audio": "examples/sample.wav", "ref_text": "x" * 5000}, "more than 4096"),
]


@pytest.mark.parametrize(("extra", "named"), BAD_PROMPTS, ids=[str(number) for number in range(len(BAD_PROMPTS))])
def test_an_invalid_prompt_is_rejected(running: Served, engine: FakeEngine, extra: dict[str, str], named: str) -> None:
    engine.prompts = True
    headers = {"Authorization": f"Bearer {KEY}"}
    response = httpx.post(f"{running.url}/v1/audio/speech", json={"input": "x"} | extra, headers=headers, verify=PLAIN)
    assert response.status_code == 400
    assert named in response.json()["error"]["message"]


def seconds_in(content: bytes, form: str) -> float:
    """Return the duration of an audio file or stream."""
    return len(content) / 2 / 24_000 if form == "pcm" else seconds_of(content)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.005)
