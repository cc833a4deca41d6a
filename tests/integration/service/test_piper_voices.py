"""Voices from files: valid pairs derived from the embedded voice, and invalid model files."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import soundfile

from harness.voices import add
from service import engines
from service.engine import EngineError, Utterance, spoken
from service.engines.piper import PiperEngine
from service.hardware import cpu
from service.settings import Settings
from tests.unit.service.support import served

TEXT = "Good morning."


def seconds(engine: PiperEngine, voice: str) -> float:
    return sum(samples.size for samples in spoken(engine, Utterance(TEXT, voice))) / engine.sample_rate


def test_two_voices_are_listed_and_served(tmp_path: Path, settings: Settings) -> None:
    add(tmp_path, "slow", inference={"length_scale": 2.0})
    settings = dataclasses.replace(settings, engine="piper", piper_voices=tmp_path)
    with (
        served(settings, engines.create(settings)) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        listed = client.get("/v1/audio/voices").json()["voices"]
        assert [voice["id"] for voice in listed] == ["joe", "slow"]
        enum = client.get("/openapi.json").json()["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]
        assert '"joe", "slow"' in json.dumps(enum)

        def say(voice: str | None) -> float:
            body = {"input": TEXT, "voice": voice, "response_format": "wav"}
            response = client.post("/v1/audio/speech", json=body)
            assert response.status_code == 200, response.text
            samples, rate = soundfile.read(io.BytesIO(response.content))
            assert rate == 22050
            return float(len(samples) / rate)

        with ThreadPoolExecutor(3) as pool:
            joe, slow, usual = pool.map(say, ["joe", "slow", None])
        assert slow > 1.5 * joe
        assert slow > 1.5 * usual, "the embedded voice must stay the default"
        refused = client.post("/v1/audio/speech", json={"input": TEXT, "voice": "slov"})
        assert "voices are joe, slow. Did you mean 'slow'?" in refused.json()["error"]["message"]
        now = client.get("/metrics").text
        assert 'tts_device_info{device="CPUExecutionProvider"} 1.0' in now
        assert client.get("/readyz").json()["device"] == "CPUExecutionProvider"


def test_every_invalid_model_file_is_reported_by_name(tmp_path: Path) -> None:
    add(tmp_path, "fine")
    add(tmp_path, "duo", num_speakers=2, speaker_id_map={"a": 0, "b": 1})
    add(
        tmp_path,
        "few",
        phoneme_id_map={"^": [1], "$": [2], "_": [0], **{char: [900] for char in "abdefhijklmnostuvwz"}},
    )
    add(tmp_path, "babel", espeak={"voice": "xx-none"})
    for name, content in {"text": b"not a network", "empty": b""}.items():
        add(tmp_path, name, network=content)
    engine = PiperEngine(1, tmp_path)
    engine.prepare()
    with pytest.raises(EngineError) as error:
        engine.load(lambda _step: None)
    lines = str(error.value).splitlines()
    assert [line.partition(".onnx: ")[0] for line in lines[1:]] == [
        f"- {tmp_path}/{name}" for name in ("babel", "duo", "empty", "few", "text")
    ]
    problems = dict(zip(("babel", "duo", "empty", "few", "text"), lines[1:], strict=True))
    assert "not a Piper model for 2 speakers: its inputs are input, input_lengths, scales instead of" in problems["duo"]
    assert "onnxruntime cannot load the file: " in problems["text"]
    assert engine.describe().device == ""


def test_unload_drops_all_voices_and_load_restores_them(tmp_path: Path) -> None:
    add(tmp_path, "bert")
    engine = PiperEngine(2, tmp_path)
    steps: list[str] = []
    engine.load(steps.append)
    wide = ["started the threads of all processors"] if cpu.available() > 1 else []
    assert steps[1:] == ["loaded en_US-joe-medium", "loaded bert", "allocated memory", "allocated memory", *wide], (
        "each step must be reported as progress"
    )
    models = engine._models.values()
    sessions = [weakref.ref(front.session) for model in models for front in (model.front, model._wide)]
    del models
    engine.unload()
    gc.collect()
    assert [session() for session in sessions] == [None] * 4
    with pytest.raises(EngineError, match="not loaded"):
        seconds(engine, "bert")
    engine.load(lambda _step: None)
    assert seconds(engine, "bert") > 0.4
