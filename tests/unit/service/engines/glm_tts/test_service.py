"""Engine glm_tts in the service, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from harness.glm_tts import Mounted
from harness.plain_http import PLAIN
from service import engines
from service.synthesis.lifecycle import Phase, RefusedError
from tests.unit.service.support import Served, at_rest, served, until

LONG = "This is the first sentence of it. Here the second one follows. And this one is the last of all."
TRANSCRIPT = "These are the words."


@pytest.fixture
def service(mount: Mounted) -> Iterator[Served]:
    settings = mount.settings(TTS_VOICES=str(mount.voices.parent))
    with served(settings, engines.create(settings)) as found:
        mount.module.said.clear()
        while mount.module.entered.acquire(blocking=False):
            pass
        yield found
        mount.module.gate.set()


@pytest.fixture
def client(service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=20, verify=PLAIN) as client:
        yield client


def say(client: httpx.Client, text: str = "A sentence.", **fields: Any) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"input": text, "response_format": "wav"} | fields)


def refused(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


def recording(seconds: float = 4) -> str:
    file = io.BytesIO()
    soundfile.write(file, 0.2 * np.sin(np.arange(int(seconds * 16000)) / 20), 16000, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


def test_the_service_is_ready_and_speaks_in_every_voice(client: httpx.Client, mount: Mounted) -> None:
    ready = client.get("/readyz").json()
    assert (ready["engine"], ready["device"]) == ("glm_tts", "cuda (stand-in GPU)")
    voices = client.get("/v1/audio/voices").json()["voices"]
    assert [(voice["id"], voice["language"]) for voice in voices] == [("anna", "zh"), ("bert", "zh")]
    for voice in (None, "bert"):
        response = say(client, LONG, voice=voice)
        assert response.status_code == 200
        samples, rate = soundfile.read(io.BytesIO(response.content))
        assert rate == 24000
        assert len(samples) == 24000 // 50 * sum(len(sentence.text) for sentence in mount.module.said[-3:])
    assert len({sentence.voice for sentence in mount.module.said}) == 2


def test_the_service_speaks_chinese_and_english(client: httpx.Client, mount: Mounted) -> None:
    assert say(client, "今天天气很好，我们去公园散步吧！OK，我马上就来。").status_code == 200
    assert [sentence.text for sentence in mount.module.said] == ["今天天气很好，我们去公园散步吧！", "ok，我马上就来。"]
    assert refused(say(client, "привет"))[:2] == (400, "unspeakable_text")


def test_a_request_can_bring_a_voice_to_clone(client: httpx.Client, mount: Mounted) -> None:
    mount.record("clara.wav", level=0.05)
    responses = [
        say(client, ref_audio=recording(), ref_text=TRANSCRIPT),
        say(client, ref_audio="clara.wav", ref_text=TRANSCRIPT),
        client.post("/api/predict", json={"data": ["clara.wav", TRANSCRIPT, "A sentence."]}),
        say(client),
    ]
    assert [response.status_code for response in responses] == [200] * 4
    first, second, third, usual = (sentence.voice for sentence in mount.module.said)
    assert len({first, second, usual}) == 3
    assert second == third


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"ref_audio": recording(2), "ref_text": TRANSCRIPT}, "bad_prompt_length", "2.00 s; it must last 3 to 10 s"),
        ({"ref_audio": recording(11), "ref_text": TRANSCRIPT}, "bad_prompt_length", "11.00 s; it must last 3 to 10 s"),
        (
            {"ref_audio": recording()},
            "missing",
            "ref_text is missing: engine glm_tts needs the transcript of ref_audio",
        ),
        ({"ref_audio": recording(), "ref_text": " ... "}, "missing", "ref_text is missing"),
        ({"speed": 1.5}, "speed_not_supported", "engine glm_tts does not support speed; leave it out"),
        ({"voice": "joe"}, "no_such_voice", "voices are anna, bert"),
    ],
)
def test_unsupported_requests_are_rejected(
    client: httpx.Client, fields: dict[str, Any], code: str, message: str
) -> None:
    status, actual, text = refused(say(client, **fields))
    assert (status, actual) == (400, code)
    assert message in text


def test_the_predict_route_rejects_the_same_prompts(client: httpx.Client, mount: Mounted) -> None:
    mount.record("short.wav", seconds=1)
    for data, message in (
        (["short.wav", TRANSCRIPT, "Now."], "data[0] lasts 1.00 s; voice cloning needs 3 to 10 s"),
        (["anna.wav", "", "Now."], "data[1] is missing: engine glm_tts needs the transcript of data[0]"),
    ):
        status, _, text = refused(client.post("/api/predict", json={"data": data}))
        assert (status, text) == (400, message)


def test_the_description_has_the_features_of_the_engine(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    fields = paths["/v1/audio/speech"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    speed = fields["speed"]["anyOf"][0]
    assert (speed["minimum"], speed["maximum"]) == (1, 1)
    assert fields["ref_audio"]["anyOf"][0] == {"type": "string"}
    assert fields["voice"]["anyOf"][0]["enum"][:3] == ["anna", "bert", "alloy"]


def test_a_stream_starts_with_the_first_sentence(client: httpx.Client, mount: Mounted) -> None:
    body = {"input": LONG, "stream_format": "audio", "response_format": "pcm"}
    mount.module.gate.clear()
    mount.module.ungated = 1
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        chunks = response.iter_bytes()
        first = next(chunks)
        assert [sentence.text for sentence in mount.module.said] == ["this is the first sentence of it."]
        mount.module.gate.set()
        total = len(first) + sum(map(len, chunks))
    assert total == 2 * 24000 // 50 * sum(len(sentence.text) for sentence in mount.module.said)
    assert len(mount.module.said) == 3


def test_after_a_deadline_the_slot_is_free_and_the_next_text_is_complete(mount: Mounted) -> None:
    settings = dataclasses.replace(mount.settings(), deadline_s=0.3)
    with (
        served(settings, engines.create(settings)) as found,
        httpx.Client(base_url=found.url, timeout=20, verify=PLAIN) as client,
    ):
        mount.module.said.clear()
        mount.module.gate.clear()
        assert refused(say(client, LONG))[:2] == (504, "deadline_exceeded")
        mount.module.gate.set()
        asyncio.run(until(lambda: at_rest(found.service)))
        assert len(mount.module.said) <= 1, "the rest of the text must not be spoken"
        mount.module.said.clear()
        found.service.scheduler.deadline_s = 60
        assert say(client, LONG).status_code == 200
        assert [sentence.before for sentence in mount.module.said] == [1, 2, 3]


def test_many_concurrent_requests_share_the_one_slot(client: httpx.Client, service: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda number: say(client, LONG, voice=("anna", "bert")[number % 2]), range(16)))
    assert [response.status_code for response in responses] == [200] * 16
    assert service.service.scheduler.slots == 1


def test_too_little_memory_fails_only_one_request(client: httpx.Client, mount: Mounted) -> None:
    cuda = mount.torch.cuda
    whole, cuda.total = cuda.total, cuda.live
    status, code, message = refused(response := say(client))
    assert (status, code) == (503, "out_of_memory")
    assert "too little memory for a sentence" in message
    assert int(response.headers["retry-after"]) >= 1
    cuda.total = whole
    assert client.get("/readyz").status_code == 200
    assert say(client).status_code == 200


def test_a_cuda_error_ends_readiness(client: httpx.Client, mount: Mounted, service: Served) -> None:
    mount.module.faults.append(mount.torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert say(client).status_code == 500
    asyncio.run(until(lambda: service.service.lifecycle.phase is Phase.FAILED))
    assert client.get("/readyz").status_code == 503
    assert "illegal memory access" in str(service.service.status()["error"])


def test_another_error_fails_only_one_request(client: httpx.Client, mount: Mounted) -> None:
    mount.module.faults.append(ValueError("something of upstream's"))
    assert refused(say(client))[:2] == (500, "engine_failed")
    assert client.get("/readyz").status_code == 200
    assert say(client).status_code == 200


def test_unload_releases_the_memory_and_load_restores_the_service(
    client: httpx.Client, mount: Mounted, service: Served
) -> None:
    def run(command: Any) -> None:
        asyncio.run_coroutine_threadsafe(command, service.loop).result(timeout=20)

    assert say(client, ref_audio=recording(), ref_text=TRANSCRIPT).status_code == 200
    lifecycle, cuda = service.service.lifecycle, mount.torch.cuda
    run(lifecycle.unload())
    assert (cuda.live, cuda.kept) == (0, 0)
    assert say(client).status_code == 503
    run(lifecycle.load())
    assert say(client).status_code == 200
    mount.module.leaked = mount.torch.Tensor([0], on_gpu=True, size=1 << 30)
    with pytest.raises(RefusedError, match="1024 MiB of GPU memory are still allocated"):
        run(lifecycle.unload())
