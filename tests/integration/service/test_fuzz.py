"""Generated requests to every documented route, as JSON and as audio: no 5xx, no leak, nothing stuck."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import hypothesis
import numpy as np
import psutil
import pytest
import soundfile
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.keys import new
from service.settings import Settings
from tests.unit.service.support import JSON, FakeEngine, at_rest, served

BOUNDED = hypothesis.settings(
    max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
RATE = 8000
SPEECH, PREDICT = "/v1/audio/speech", "/api/predict"
KEY, LINE = new("fuzz", {})
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def client(settings: Settings, engine: FakeEngine, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client with a key. Afterwards the service must be idle, without leaked files, and still speak."""
    engine.seeds = True
    (tmp_path / "keys").write_text(LINE)
    with (
        served(dataclasses.replace(settings, api_keys=tmp_path / "keys"), engine) as found,
        httpx.Client(base_url=found.url, headers=HEADERS) as client,
    ):
        still_speaks(client, engine)
        files = open_files()
        yield client
        deadline = time.monotonic() + 5
        while not at_rest(found.service):
            assert time.monotonic() < deadline, "a request or synthesis is stuck"
            time.sleep(0.01)
        still_speaks(client, engine)
        assert open_files() <= files + 2, "requests leaked open files"


def still_speaks(client: httpx.Client, engine: FakeEngine) -> None:
    response = client.post(SPEECH, json={"input": "Still here."})
    assert (response.status_code, engine.spoken[-1]) == (200, "Still here")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_service_matches_its_openapi_description(client: httpx.Client, tmp_path: Path) -> None:
    """Run all checks of schemathesis: the service accepts what it documents, and rejects everything else."""
    argv = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{client.base_url}/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--max-examples", "15", "--generation-deterministic"),
        *("--workers", "1", "--suppress-health-check", "all", "--no-color"),
    ]
    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout


def answered(client: httpx.Client, path: str, content: bytes) -> int:
    """Send a body, check that an error has the common format, and return the status."""
    response = client.post(path, content=content, headers=JSON)
    assert response.status_code in (200, 400), response.text
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "code", "param"}
        assert "Traceback" not in response.text
        assert "/service/" not in response.text
    return response.status_code


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("input", "voice", "model", "response_format", "speed", "stream_format", "seed", "ref_audio", "ref_text")


def test_any_json(client: httpx.Client) -> None:
    @BOUNDED
    @given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING), ANYTHING)
    def fuzz(fields: object, data: object) -> None:
        answered(client, SPEECH, json.dumps({"input": "x"} | fields).encode())  # type: ignore[operator]  # a dict
        answered(client, PREDICT, json.dumps({"data": data}).encode())

    fuzz()


def test_any_bytes(client: httpx.Client) -> None:
    @BOUNDED
    @given(st.binary(max_size=200))
    def fuzz(content: bytes) -> None:
        assert answered(client, SPEECH, content) == 400

    fuzz()


def test_any_text(client: httpx.Client) -> None:
    english = st.text(st.characters(codec="utf-8", max_codepoint=0x2FF), min_size=1, max_size=80)

    @BOUNDED
    @given(st.text(max_size=80) | english)
    def fuzz(text: str) -> None:
        answered(client, SPEECH, json.dumps({"input": text}).encode())
        answered(client, PREDICT, json.dumps({"data": [None, text, text]}).encode())

    fuzz()


def sound(form: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(-9000, 9000, 3 * RATE + 99).astype(np.int16)
    soundfile.write(file, noise, RATE, format=form)
    return file.getvalue()


WHOLE = {form: sound(form) for form in ("WAV", "FLAC", "MP3")}


CHANGES = st.lists(
    st.tuples(st.sampled_from([64, 512, 20_000]), st.integers(0, 2**16), st.integers(0, 255)), max_size=4
)
CUTS = st.sampled_from([None, None, None, 60, 3000])


def broken(form: str, changes: list[tuple[int, int, int]], cut: int | None) -> bytes:
    """Return a valid file with changed bytes, mostly in its header, or truncated."""
    content = bytearray(WHOLE[form])
    for end, at, byte in changes:
        content[at % min(end, len(content))] = byte
    return bytes(content[:cut])


BROKEN = st.builds(broken, st.sampled_from(sorted(WHOLE)), CHANGES, CUTS)


def test_any_audio(client: httpx.Client, engine: FakeEngine) -> None:
    engine.prompts = True
    statuses = set()

    @BOUNDED
    @given(st.binary(max_size=300) | BROKEN)
    def fuzz(content: bytes) -> None:
        body = {"input": "x", "ref_audio": base64.b64encode(content).decode(), "ref_text": "y"}
        status = answered(client, SPEECH, json.dumps(body).encode())
        if status == 200:
            assert engine.last
            assert engine.last.prompt
            assert 3 <= engine.last.prompt.seconds <= 10
        statuses.add(status)

    fuzz()
    assert statuses == {200, 400}, "the files must include valid and invalid ones"


@pytest.mark.parametrize("form", sorted(WHOLE))
def test_a_small_file_with_long_audio_is_not_decoded(client: httpx.Client, engine: FakeEngine, form: str) -> None:
    engine.prompts = True
    file = io.BytesIO()
    rate = 44100 if form == "MP3" else 192_000
    soundfile.write(file, np.zeros((60 * rate // 4, 2), np.int16), rate, format=form)
    response = client.post(SPEECH, json={"input": "x", "ref_audio": base64.b64encode(file.getvalue()).decode()})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_prompt_length")


MB = 1 << 20
MAX_GROWTH_MB = 20  # of 60 that are sent; the allocator may keep some pages


def test_request_bodies_are_not_kept_in_memory(client: httpx.Client, engine: FakeEngine) -> None:
    engine.prompts = True
    noise = np.random.default_rng(1).bytes(MB * 3 // 4)
    audio = {"input": "x", "ref_audio": base64.b64encode(noise).decode(), "ref_text": "y"}
    bodies = [json.dumps(audio), json.dumps({"input": "x" * MB}), "[" * MB]

    def send(rounds: int) -> None:
        for body in bodies * rounds:
            assert answered(client, SPEECH, body.encode()) != 200

    send(3)
    process = psutil.Process()
    before = process.memory_info().rss
    send(20)
    assert (process.memory_info().rss - before) / MB < MAX_GROWTH_MB
