"""Task files: every bad line is reported with its number, and no file is read into memory completely."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from batch.errors import TasksError
from batch.tasks.validate import CheckedTasks, check
from service.taskfile.tasks import Rules
from tests.unit.batch.support import batch, plain, wav, write_tasks
from tests.unit.service.taskfile.test_tasks import line

FRENCH = '{"output_name": "a", "input_text": "été"}\n{"output_name": "b", "input_text": "x"}\n'


def checked(path: Path) -> tuple[CheckedTasks | None, dict[int, str]]:
    problems: dict[int, str] = {}
    try:
        return check(path, Rules(), {}, problems.__setitem__), problems
    except TasksError:
        return None, problems


def test_every_bad_line_is_reported_with_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "repeats that of line 1" in problems[3]
    assert "cannot be read: No such file" in problems[5]
    assert "is not readable audio" in problems[6]
    assert batch("run", path, "--endpoint", "http://127.0.0.1:9", "--out", tmp_path / "out") == 4
    errors = plain(capsys.readouterr().err)
    assert "line 10: is not UTF-8" in errors
    assert "has 7 bad lines; no request was sent" in errors


def test_the_tasks_of_a_valid_file_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "p.wav").write_bytes(wav(4))
    path = write_tasks(tmp_path / "tasks.jsonl", 3, prompt_audio="p.wav")
    good, _ = checked(path)
    assert good
    assert [task.output_name for task, _ in good.todo()] == ["clip-000.wav", "clip-001.wav", "clip-002.wav"]
    assert not good.pending


@pytest.mark.parametrize("codec", ["gb18030", "latin-1"])
def test_lines_in_another_encoding_are_reported(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(FRENCH.encode(codec))
    good, problems = checked(path)
    assert good is None
    assert list(problems) == [1]
    assert "is not UTF-8: byte 37" in problems[1]


@pytest.mark.parametrize("codec", ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_in_another_unicode_encoding_gets_a_conversion_command(tmp_path: Path, codec: str, mark: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes((mark + FRENCH).encode(codec))
    with pytest.raises(TasksError) as caught:
        check(path, Rules(), {}, lambda _number, _problem: None)
    argv = shlex.split(caught.value.remedy.removeprefix("convert it: "))
    converted = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout
    path.write_bytes(converted)
    good, _ = checked(path)
    assert good
    assert [task.input_text for task, _ in good.todo()] == ["été", "x"]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_tasks_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(content)
    with pytest.raises(TasksError, match="has no tasks"):
        check(path, Rules(), {}, lambda _number, _problem: None)
    with pytest.raises(TasksError, match=r"cannot read .*: No such file"):
        check(tmp_path / "none", Rules(), {}, lambda _number, _problem: None)


@pytest.mark.parametrize("strange", [Path("/dev/zero"), Path("/dev/null"), Path("/"), "pipe"], ids=str)
def test_special_files_are_refused_unread(tmp_path: Path, strange: Path | str) -> None:
    path = tmp_path / strange
    if strange == "pipe":
        os.mkfifo(path)
    with pytest.raises(TasksError, match="is not a regular file"):
        check(path, Rules(), {}, lambda _number, _problem: None)


def test_texts_that_no_voice_can_speak_are_reported_before_the_run(tmp_path: Path) -> None:
    texts = ["Plain words.", "Good 😀 job", "今天天气很好。", "привет", "— *** —1", "Tom &amp; Nora", "αβγδ", "😀 5"]
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(
        b"\n".join(line(output_name=f"clip{number}", input_text=text) for number, text in enumerate(texts))
    )
    _, problems = checked(path)
    assert sorted(problems) == [4, 7]
    assert "input_text has characters that a voice of language 'en' cannot speak: U+043F" in problems[4]


def test_what_the_service_will_leave_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(line(input_text="Good 😀 job 🎉, a ⌘ key"))
    assert batch("check", path) == 0
    assert "will leave out characters that have no sound: 2 emoji, 1 symbol" in plain(capsys.readouterr().err)
