from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.engines.glm_tts import voices


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name, seconds in (("anna.wav", 4), ("short.wav", 2), ("long.flac", 12)):
        soundfile.write(tmp_path / name, np.full(seconds * 8000, 0.1), 8000)
    (tmp_path / "text.wav").write_text("no audio")
    return tmp_path / "voices.jsonl"


def line(**fields: object) -> str:
    return json.dumps({"name": "anna", "wav": "anna.wav", "transcript": "I am Anna."} | fields)


def test_each_line_is_a_voice_in_the_files_order(file: Path) -> None:
    file.write_text("\n".join((line(name="b"), "", line(name="a", language="en", transcript="  Yes. "))))
    found, problems = voices.read(file)
    assert problems == []
    assert [(recorded.voice.id, recorded.voice.language) for recorded in found] == [("b", "zh"), ("a", "en")]
    assert (found[1].prompt.seconds, found[1].prompt.sample_rate, found[1].prompt.text) == (4, 8000, "Yes.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: it is not JSON"),
        ("[]", "line 1: it is not a JSON object"),
        ("[" * 100_000, "line 1: it is not JSON"),
        ("{}", "line 1: name is missing; wav is missing; transcript is missing"),
        (line(transcrpt="x"), 'line 1 ("anna"): unknown field "transcrpt". Did you mean \'transcript\'?'),
        (line(name=3), "line 1 (3): name must be a text, not 3"),
        (line(transcript=" "), 'line 1 ("anna"): transcript must be a text, not " "'),
        (line(name="Anna Bell"), 'line 1 ("Anna Bell"): name must be 1 to 64 of the characters'),
        (line(language="fr"), 'line 1 ("anna"): language must be zh or en, not "fr"'),
        (
            line(language="en", transcript="你好"),
            "has characters that a voice of language 'en' cannot speak",
        ),
        (line(wav="none.wav"), 'line 1 ("anna"): wav is not the name of a file'),
        (line(wav="../anna.wav"), 'line 1 ("anna"): wav is not the name of a file'),
        (line(wav="text.wav"), 'line 1 ("anna"): wav is not readable audio'),
        (line(wav="short.wav"), 'line 1 ("anna"): wav lasts 2.00 s; it must last 3 to 10 s'),
        (line(wav="long.flac"), 'line 1 ("anna"): wav lasts 12.00 s; it must last 3 to 10 s'),
        (f"{line()}\n{line()}", 'line 2 ("anna"): a line above has the same name'),
        ("", "has no voices"),
        ("x" * 1_000_001, "has more than 1000000 bytes"),
    ],
)
def test_an_invalid_line_is_reported_with_its_number_and_name(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    _, problems = voices.read(file)
    assert len(problems) == 1
    assert message in problems[0]


def test_all_invalid_lines_are_reported(file: Path) -> None:
    file.write_text(f"{{}}\n{line()}\n[]\n")
    found, problems = voices.read(file)
    assert [recorded.voice.id for recorded in found] == ["anna"]
    assert [problem.split(":")[0] for problem in problems] == ["voices.jsonl line 1", "voices.jsonl line 3"]


def test_a_missing_file_and_a_binary_file_are_reported(file: Path) -> None:
    assert "No such file or directory; write one line per voice" in voices.read(file)[1][0]
    file.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in voices.read(file)[1][0]
