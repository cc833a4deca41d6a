"""Voices from files: valid pairs, and errors that name every invalid file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from harness import voices as voice_files
from service.engine import EngineError, Voice
from service.engines import embedded_voice
from service.engines.onnx import voices
from service.engines.piper import PiperEngine

RATE = embedded_voice.SAMPLE_RATE

add = functools.partial(voice_files.add, network=b"network")  # a stub: no test here loads it


def known(folder: Path) -> list[Voice]:
    sources, problems = voices.read(folder, RATE)
    assert problems == []
    return [voice for source in sources for voice in source.speakers]


def test_the_embedded_voice_has_the_expected_sample_rate() -> None:
    assert voices.embedded_source().config["audio"]["sample_rate"] == RATE


def test_file_pairs_are_voices_and_other_files_are_ignored(tmp_path: Path) -> None:
    add(tmp_path, "bert")
    add(tmp_path, "de_DE-anna", language={"family": "de", "name_english": "German"})
    (tmp_path / "MODEL_CARD").write_text("license and speaker")
    (tmp_path / "more").mkdir()
    assert known(tmp_path) == [
        Voice("bert", "bert (English)", "en"),
        Voice("de_DE-anna", "de_DE-anna (German)", "de"),
    ]


def test_a_missing_folder_has_no_voices(tmp_path: Path) -> None:
    assert voices.read(tmp_path / "none", RATE) == ([], [])


def test_each_speaker_of_a_model_is_a_voice(tmp_path: Path) -> None:
    add(tmp_path, "duo", num_speakers=2, speaker_id_map={"rosa": 1, "p1": 0})
    add(tmp_path, "trio", num_speakers=3, language={})
    assert [voice.id for voice in known(tmp_path)] == ["duo#p1", "duo#rosa", "trio#0", "trio#1", "trio#2"]
    sources, _ = voices.read(tmp_path, RATE)
    assert list(sources[0].speakers.values()) == [0, 1]


@pytest.mark.parametrize(
    ("changes", "language"),
    [
        ({"language": {}}, "en"),
        ({"language": {}, "espeak": {"voice": "cmn"}}, "zh"),
        ({"language": {"family": "fr"}}, "fr"),
    ],
)
def test_the_language_comes_from_the_file_or_from_the_espeak_voice(
    tmp_path: Path, changes: dict[str, Any], language: str
) -> None:
    add(tmp_path, "a", **changes)
    assert [voice.language for voice in known(tmp_path)] == [language]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio": {"sample_rate": 16000}}, "audio.sample_rate must be 22050 (Hz) for all voices, not 16000"),
        ({"audio": []}, "audio.sample_rate must be 22050 (Hz) for all voices, not null"),
        ({"phoneme_type": "pinyin"}, 'phoneme_type must be espeak, not "pinyin"'),
        ({"espeak": {}}, "espeak.voice is missing"),
        ({"language": {"family": "ru"}}, 'language "ru" is not supported; supported: ca,'),
        ({"num_symbols": None}, "num_symbols or phoneme_id_map is missing"),
        ({"num_speakers": 0}, "num_speakers must be a whole number from 1, not 0"),
        ({"num_speakers": 2, "speaker_id_map": {"a": 0, "b": 2}}, 'speaker "b" must have a number below 2'),
        (
            {"num_speakers": 2, "speaker_id_map": {"a": 0, "b/": 1}},
            'speaker name "b/" must be 1 to 64 of the characters',
        ),
        ({"num_speakers": 2, "speaker_id_map": [1]}, "speaker_id_map is not a JSON object"),
    ],
)
def test_an_unsupported_configuration_is_rejected(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    add(tmp_path, "bad", **changes)
    sources, (problem,) = voices.read(tmp_path, RATE)
    assert sources == []
    assert problem.startswith(f"{tmp_path}/bad.onnx: bad.onnx.json: ")
    assert message in problem


def test_all_bad_files_are_reported_before_a_load(tmp_path: Path) -> None:
    add(tmp_path, "fine")
    for name in ("alone", "lost", "broken", "list", "joe", "a name"):
        add(tmp_path, name)
    (tmp_path / "alone.onnx.json").unlink()
    (tmp_path / "lost.onnx").unlink()
    (tmp_path / "broken.onnx.json").write_text("{")
    (tmp_path / "list.onnx.json").write_text("[]")
    engine = PiperEngine(1, tmp_path)
    with pytest.raises(EngineError) as parked:
        engine.prepare()
    with pytest.raises(EngineError) as loaded:
        engine.load(lambda _step: None)
    assert str(loaded.value) == str(parked.value)
    for message in (
        "engine piper cannot start:",
        f"- {tmp_path}/a name.onnx: the name must be 1 to 64",
        f"- {tmp_path}/alone.onnx: file alone.onnx.json is missing; a voice consists of NAME.onnx and NAME.onnx.json",
        f"- {tmp_path}/broken.onnx: broken.onnx.json is not JSON: ",
        f"- {tmp_path}/joe.onnx: joe is the embedded voice's name; rename both files",
        f"- {tmp_path}/list.onnx: list.onnx.json is not a JSON object",
        f"- {tmp_path}/lost.onnx: file lost.onnx is missing; ",
    ):
        assert message in str(loaded.value)
    assert "fine" not in str(loaded.value)
    assert [voice.id for voice in engine.describe().voices] == ["joe", "fine"], "the API description needs the voices"
