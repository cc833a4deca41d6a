"""Lists of tasks in another form are named, and the command in the error converts them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.unit.batch.support import batch, plain

GOOD = [
    {"output_name": "clip-1", "input_text": "One lamp."},
    {"output_name": "clip-2", "input_text": "Two ropes, and more."},
]
LINES = [json.dumps(task) for task in GOOD]
OPENAI = [
    {"custom_id": task["output_name"], "method": "POST", "url": "/v1/audio/speech"}
    | {"body": {"model": "tts-1", "voice": "alloy", "input": task["input_text"]}}
    for task in GOOD
]

FORMS = {
    "a JSON array": (
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        json.dumps(GOOD).replace("}, {", "},\n{"),
        json.dumps({"tasks": GOOD}, indent=1),
    ),
    "pretty-printed JSON": ("\n".join(json.dumps(task, indent=2) for task in GOOD),),
    "a list with comments": (f"# my tasks\n{LINES[0]}\n// the second\n{LINES[1]},\n",),
    "a list with several objects on a line": (" ".join(LINES), ",".join(LINES) + "\n"),
    "a table with a header (CSV)": (
        'output_name,input_text\nclip-1,One lamp.\nclip-2,"Two ropes, and more."\n',
        "id\ttext\r\nclip-1.wav\tOne lamp.\r\nclip-2.wav\tTwo ropes, and more.\r\n",
        '"name";"text"\nclip-1;One lamp.\nclip-2;Two ropes, and more.\n',
    ),
    "a list whose lines end with CR alone": ("\r".join(LINES) + "\r",),
    "a list with single quotation marks, as Python prints it": ("\n".join(map(str, GOOD)),),
    "a batch in OpenAI's form": ("\n".join(map(json.dumps, OPENAI)),),
    "a list with other field names": (
        "\n".join(
            json.dumps({"out": f"{task['output_name']}.wav", "id": 1, "text": task["input_text"]}) for task in GOOD
        ),
    ),
    "a JSON object of texts by name, as CosyVoice reads it": (
        json.dumps({task["output_name"]: [task["input_text"]] for task in GOOD}),
    ),
    "a list with columns separated by |": (
        "clip-1|One lamp.\nclip-2|Two ropes, and more.\n",
        "clip-1|a|p.wav|One lamp.\nclip-2|a|p.wav|Two ropes, and more.\n",
    ),
}


@pytest.mark.parametrize(("form", "content"), [(form, text) for form, texts in FORMS.items() for text in texts])
def test_another_form_is_told_once_with_the_command_that_converts_it(
    tmp_path: Path, form: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my tasks.txt"
    path.write_bytes(content.encode())
    assert batch("check", path) == 4
    error, remedy = plain(capsys.readouterr().err).strip().split(" remedy: convert it: ")
    assert error.startswith(f"error: {path} is {form}, but")
    argv = shlex.split(remedy)
    assert argv[:3] == ["python", "-m", "batch"]
    assert batch(*argv[3:]) == 0
    tasks = [json.loads(line) for line in Path(argv[-1]).read_text().splitlines()]
    assert [{name: task[name] for name in GOOD[0]} for task in tasks] == GOOD


def test_fields_of_another_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "lists/in.jsonl", tmp_path / "out.jsonl"
    path.parent.mkdir()
    path.write_text(
        '{"custom_id": "a", "body": {"input": "One.", "voice": {"id": "joe"}, "model": "tts-1", "seed": 7}}\n'
        '{"utt": "b", "text": "Two.", "speaker": "amy", "prompt_wav": "p.wav", "ref_text": "p", "seed": "8"}\n'
        '{"text": "Three."}\n'
    )
    assert batch("convert", path, "--out", out) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"output_name": "a", "input_text": "One.", "voice": "joe", "seed": 7},
        {"output_name": "b", "input_text": "Two.", "voice": "amy", "seed": 8}
        | {"prompt_audio": "lists/p.wav", "prompt_text": "p"},
        {"output_name": "000003", "input_text": "Three."},
    ]
    assert "1 tasks have model" in plain(capsys.readouterr().err)
    assert batch("convert", path, "--out", out) == 4
    assert "exists already" in plain(capsys.readouterr().err)


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig", "utf-32"])
def test_another_unicode_encoding_is_converted(tmp_path: Path, codec: str) -> None:
    (tmp_path / "in.jsonl").write_bytes("\n".join(LINES).encode(codec))
    assert batch("convert", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl") == 0
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == GOOD


def test_another_encoding_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.jsonl"
    lines = [{"output_name": name, "input_text": "Café au lait."} for name in "abc"]
    path.write_bytes("\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode("latin-1"))
    assert batch("check", path) == 4
    error = plain(capsys.readouterr().err)
    assert error.count("is not UTF-8: byte") == 1
    command = error.split("remedy: 3 lines are not UTF-8: ")[1].split(", such as")[0]
    assert batch(*shlex.split(command.replace("ENCODING", "latin-1"))[3:]) == 0
    assert batch("check", tmp_path / "in.tasks.jsonl") == 0
    assert batch("convert", path, "--out", tmp_path / "x.jsonl") == 4
    assert "set --encoding" in plain(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b'{"output_name": "a", "input_text": "x"}\n\xef\xbb\xbf{"output_name": "b", "input_text": "x"}\n',
            "byte order mark",
        ),
        (b'{"output_name": "a", "input_text": "x"}\n' + b"\0" * 4096, "has only zero bytes"),
        (b'{"output_name": "a", "input_text": "x"}\n{"output_name": "b",', "line 2: is not JSON"),
        (b'{"output_name": "a", "input_text": "x", "seed": NaN}', "seed must be a whole number"),
        (b'{"output_name": 7, "input_text": "x"}\nnull\n[]\n{}\n', "has 4 bad lines"),
        (b'{"output_name": "a", "input_text": "x", "error": ' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply"),
        (b'{"output_name": "a", "input_text": "' + b"word " * 60000 + b'"}', "has more than 262144 bytes"),
        (b"just words\n", "line 1: is not JSON"),
    ],
)
def test_a_damaged_task_file_keeps_its_line_errors(
    tmp_path: Path, content: bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    assert batch("check", tmp_path / "in.jsonl") == 4
    assert problem in plain(capsys.readouterr().err)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + "\r\n".join(LINES).encode() + b"\r\n",
        ("\n\n" + "\n   \n\t\n".join(LINES)).encode(),
        '{"output_name": "a", "input_text": "One.\u2028Two.\u0085Three."}\n'.encode(),
        b'{"uttid": "u1", "syn_text": "One lamp.", "prompt_text": "", "prompt_speech": ""}\n',
    ],
)
def test_good_files_are_not_another_form(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    assert batch("check", tmp_path / "in.jsonl") == 0


@pytest.mark.parametrize("content", ["[1]", '[{"a": 1}, 2]', '{"output_name": "a", "input_text": ', "a|b|c\n"])
def test_what_cannot_be_converted_leaves_no_file(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text(content)
    assert batch("convert", tmp_path / "in.txt", "--out", tmp_path / "out.jsonl") == 4
    assert "cannot be converted" in plain(capsys.readouterr().err)
    assert not (tmp_path / "out.jsonl").exists()
