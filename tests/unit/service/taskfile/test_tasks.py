"""Lines of a task file: valid tasks, and the errors of invalid ones."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

from service.taskfile import names
from service.taskfile.tasks import BadLineError, Rules, Task, parse

GOOD = {"output_name": "a", "input_text": "Hello."}
# Device names of Windows, which ignores everything after the first dot, and spaces before it.
DEVICES = ("NUL", "con", "Aux.wav", "PRN.part", "com1", "LPT9.x", "COM¹", "lpt³.wav", "CONIN$", "conout$.x", "nul .x")


def line(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


@pytest.mark.parametrize(
    ("content", "task"),
    [
        (line(), Task("a.wav", "Hello.")),
        (line(output_name="a.WAV", voice=None, seed=None, prompt_audio=""), Task("a.wav", "Hello.")),
        (line(output_name="v1.2", seed=7, voice="joe"), Task("v1.2.wav", "Hello.", voice="joe", seed=7)),
        (line(output_name="第一章 001"), Task("第一章 001.wav", "Hello.")),
        (line(error={"status": 422}), Task("a.wav", "Hello.")),
        (
            b'{"uttid": "u", "prompt_text": "p", "prompt_speech": "p.wav", "syn_text": "\xe4\xbd\xa0\xe5\xa5\xbd"}',
            Task("u.wav", "你好", "p.wav", "p"),
        ),
    ],
)
def test_a_good_line(content: bytes, task: Task) -> None:
    assert parse(content, Rules()) == task


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b'["output_name"]', "must be a JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"output_name": "a", "input_text": "\xff"}', "is not UTF-8: byte 37 is 0xff"),
        (b'{"output_name": "a", "output_name": "b", "input_text": "x"}', 'has "output_name" twice'),
        (b'{"output_name": "a", "uttid": "b", "input_text": "x"}', "has output_name twice, once as uttid"),
        (b'{"output_name": "a", "input_text": "\\ud800 x"}', "half of a surrogate pair"),
        (b"{}", "input_text is missing or empty; output_name is missing or empty"),
        (line(input_text="..."), "input_text has no letter or digit"),
        (line(input_text="x" * 4097), "input_text has 4097 characters, at most 4096 are allowed"),
        (
            line(input_text=5, seed="7"),
            'input_text must be a text, not 5; seed must be a whole number from 0 to 2147483647, not "7"',
        ),
        (line(seed=True), "not true"),
        (line(seed=-1), "not -1"),
        (line(input_txt="x"), "unknown field \"input_txt\". Did you mean 'input_text'?"),
        (line(prompt_text="x"), "prompt_text is given without prompt_audio"),
        (line(output_name="../etc/passwd"), "without folders"),
        (line(output_name="..\\x"), "without folders"),
        (line(output_name="/x"), "without folders"),
        (line(output_name="c:x"), "without folders"),
        (line(output_name=".."), "must not begin with a dot"),
        (line(output_name=".hidden"), "must not begin with a dot"),
        (line(output_name="x\x00y"), "unprintable"),
        (line(output_name="x\u202ey"), "unprintable"),
        *[(line(output_name=name), "be a device name") for name in DEVICES],
        (line(output_name="x."), "end with a dot"),
        (line(output_name="x "), "end with a dot or a space"),
        (line(output_name="x.flac"), "ends in .flac, but the clips are wav"),
        (line(output_name="é" * 120), "has more than 200 bytes"),
        (line(output_name=".wav"), "is empty"),
        (None, "has more than 262144 bytes"),
    ],
)
def test_a_bad_line(content: bytes | None, message: str) -> None:
    with pytest.raises(BadLineError, match=re.escape(message)) as caught:
        parse(content, Rules())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["context", "nullify", "com", "COM10", "lpt", "auxiliary.part", "printed"])
def test_names_that_only_start_like_a_device_are_valid(name: str) -> None:
    assert names.file_name(name, "wav") == f"{name}.wav"


@pytest.mark.parametrize(("one", "other"), [("A.wav", "a.wav"), ("é", "e\u0301"), ("STRASSE", "straße")])
def test_names_that_some_file_systems_treat_as_equal_have_one_key(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


def test_the_identity_changes_with_every_audible_field() -> None:
    task = Task("a.wav", "Hello.", "p.wav", "p", "joe", 1)
    other: dict[str, Any] = {"output_name": "b", "input_text": "x", "prompt_text": "x", "voice": "x", "seed": None}
    identities = {dataclasses.replace(task, **{name: value}).identity("1") for name, value in other.items()}
    assert len(identities | {task.identity("1"), task.identity("2")}) == 7
    assert dataclasses.replace(task, prompt_audio="moved/p.wav").identity("1") == task.identity("1")
