"""Task files: every bad line is told with its number, and none is ever whole in memory."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.batch import names
from service.batch.checking import Checked, check
from service.batch.errors import TasksError
from service.batch.tasks import BadLineError, Rules, Task, parse
from tests.unit.batch.support import batch, plain, wav, write_tasks

GOOD = {"output_name": "a", "input_text": "Hello."}
# Windows' own names, in whatever folder: it does not look behind the first dot, nor at spaces before that.
DEVICES = ("NUL", "con", "Aux.wav", "PRN.part", "com1", "LPT9.x", "COM¹", "lpt³.wav", "CONIN$", "conout$.x", "nul .x")


def line(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


@pytest.mark.parametrize(
    ("given", "task"),
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
def test_a_good_line(given: bytes, task: Task) -> None:
    assert parse(given, Rules()) == task


@pytest.mark.parametrize(
    ("given", "told"),
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
        (line(input_text=5, seed="7"), 'input_text is 5, it must be a text; seed is "7", it must be a whole number'),
        (line(seed=True), "seed is true"),
        (line(seed=-1), "seed is -1"),
        (line(input_txt="x"), 'unknown field "input_txt", did you mean input_text?'),
        (line(prompt_text="x"), "prompt_text is given without prompt_audio"),
        (line(output_name="../etc/passwd"), "without folders"),
        (line(output_name="..\\x"), "without folders"),
        (line(output_name="/x"), "without folders"),
        (line(output_name="c:x"), "without folders"),
        (line(output_name=".."), "must not begin with a dot"),
        (line(output_name=".hidden"), "must not begin with a dot"),
        (line(output_name="x\x00y"), "cannot be printed"),
        (line(output_name="x\u202ey"), "cannot be printed"),
        *[(line(output_name=name), "name a device") for name in DEVICES],
        (line(output_name="x."), "end with a dot"),
        (line(output_name="x "), "end with a dot or a space"),
        (line(output_name="x.flac"), "ends in .flac, but the clips are wav"),
        (line(output_name="é" * 120), "has more than 200 bytes"),
        (line(output_name=".wav"), "is empty"),
        (None, "has more than 262144 bytes"),
    ],
)
def test_a_bad_line(given: bytes | None, told: str) -> None:
    with pytest.raises(BadLineError, match=re.escape(told)) as caught:
        parse(given, Rules())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["context", "nullify", "com", "COM10", "lpt", "auxiliary.part", "printed"])
def test_names_that_only_begin_like_a_device(name: str) -> None:
    assert names.file_name(name, "wav") == f"{name}.wav"


@pytest.mark.parametrize(("one", "other"), [("A.wav", "a.wav"), ("é", "e\u0301"), ("STRASSE", "straße")])
def test_names_that_some_file_systems_take_for_the_same(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


def test_the_identity_changes_with_all_that_is_heard() -> None:
    task = Task("a.wav", "Hello.", "p.wav", "p", "joe", 1)
    other: dict[str, Any] = {"output_name": "b", "input_text": "x", "prompt_text": "x", "voice": "x", "seed": None}
    identities = {dataclasses.replace(task, **{name: value}).identity("1") for name, value in other.items()}
    assert len(identities | {task.identity("1"), task.identity("2")}) == 7
    assert dataclasses.replace(task, prompt_audio="moved/p.wav").identity("1") == task.identity("1")


FRENCH = '{"output_name": "a", "input_text": "été"}\n{"output_name": "b", "input_text": "x"}\n'


def checked(path: Path) -> tuple[Checked | None, dict[int, str]]:
    problems: dict[int, str] = {}
    try:
        return check(path, Rules(), {}, problems.__setitem__), problems
    except TasksError:
        return None, problems


def test_every_bad_line_is_told_with_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (tmp_path / "folder").mkdir()
    lines = [
        line(),
        b"",
        line(output_name="A.wav"),
        b"not json",
        line(output_name="b", prompt_audio="nowhere.wav"),
        line(output_name="c", prompt_audio="secret.txt"),
        line(output_name="d", prompt_audio="folder"),
        line(output_name="e", prompt_audio="nul\0l"),
        line(output_name="f"),
        b"\xff",
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    _, problems = checked(path)
    assert sorted(problems) == [3, 4, 5, 6, 7, 8, 10]
    assert "is that of line 1 already" in problems[3]
    assert "cannot be read: No such file" in problems[5]
    assert "is not a WAV" in problems[6]
    assert batch("run", path, "--endpoint", "http://127.0.0.1:9", "--out", tmp_path / "out") == 4
    told = plain(capsys.readouterr().err)
    assert "line 10: is not UTF-8" in told
    assert "has 7 bad lines, so nothing was begun" in told


def test_lines_of_a_good_file_are_gone_through_once(tmp_path: Path) -> None:
    (tmp_path / "p.wav").write_bytes(wav())
    path = write_tasks(tmp_path / "tasks.jsonl", 3, prompt_audio="p.wav")
    good, _ = checked(path)
    assert good
    assert [task.output_name for task, _ in good.todo()] == ["clip-000.wav", "clip-001.wav", "clip-002.wav"]
    assert not good.pending


@pytest.mark.parametrize("codec", ["gb18030", "latin-1"])
def test_lines_in_another_encoding_are_named(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(FRENCH.encode(codec))
    good, problems = checked(path)
    assert good is None
    assert list(problems) == [1]
    assert "is not UTF-8: byte 37" in problems[1]


@pytest.mark.parametrize("codec", ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_in_another_unicode_encoding_is_told_how_to_convert(tmp_path: Path, codec: str, mark: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes((mark + FRENCH).encode(codec))
    with pytest.raises(TasksError) as told:
        check(path, Rules(), {}, lambda _number, _problem: None)
    argv = shlex.split(told.value.remedy.removeprefix("convert it: "))
    converted = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout
    path.write_bytes(converted)
    good, _ = checked(path)
    assert good
    assert [task.input_text for task, _ in good.todo()] == ["été", "x"]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_tasks(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(content)
    with pytest.raises(TasksError, match="has no tasks"):
        check(path, Rules(), {}, lambda _number, _problem: None)
    with pytest.raises(TasksError, match="cannot be read: No such file"):
        check(tmp_path / "none", Rules(), {}, lambda _number, _problem: None)


@pytest.mark.parametrize("strange", [Path("/dev/zero"), Path("/dev/null"), Path("/"), "pipe"], ids=str)
def test_what_is_no_file_is_refused_before_it_is_read(tmp_path: Path, strange: Path | str) -> None:
    path = tmp_path / strange
    if strange == "pipe":
        os.mkfifo(path)
    with pytest.raises(TasksError, match="is no file that can be read twice"):
        check(path, Rules(), {}, lambda _number, _problem: None)
