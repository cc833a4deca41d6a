"""A batch's task file: JSON lines, checked whole before anything is spoken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from service.engines.base import Utterance
from service.errors import InvalidError, shown
from service.speech import Speech

MAX_LINES = 100
MAX_CHARS = 20_000  # about 25 minutes of speech: the zip is kept in memory

_FIELDS = ("input_text", "output_name", "voice")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._ -]{0,99}")


class BadTasksError(Exception):
    """The file cannot be spoken; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Task:
    """One line: what to say, the name of its file without an ending, and the line as it came."""

    utterance: Utterance
    name: str
    line: str


def read_tasks(content: bytes, speech: Speech) -> list[Task]:
    """Read a file, or raise BadTasksError with everything that is wrong with it, by number of line."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise BadTasksError([f"Line {number}: is not UTF-8"]) from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not 1 <= len(numbered) <= MAX_LINES:
        raise BadTasksError([f"The file has {len(numbered)} tasks, it must have 1 to {MAX_LINES}"])
    tasks: list[Task] = []
    problems: list[str] = []
    names: dict[str, int] = {}
    for number, line in numbered:
        try:
            task = _read_line(line, speech)
            if first := names.get(task.name.lower()):
                raise InvalidError(f"output_name {shown(task.name)} is that of line {first}, too")
            names[task.name.lower()] = number
            tasks.append(task)
        except InvalidError as error:
            problems.append(f"Line {number}: {error.message}")
    chars = sum(len(task.utterance.text) for task in tasks)
    if chars > MAX_CHARS:
        problems.append(f"The texts have {chars} characters together, at most {MAX_CHARS} are allowed")
    if problems:
        raise BadTasksError(problems)
    return tasks


def _read_line(line: str, speech: Speech) -> Task:
    try:
        fields: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidError("is not JSON") from None
    if not isinstance(fields, dict):
        raise InvalidError("is not a JSON object")
    for name, value in fields.items():
        if name not in _FIELDS:
            raise InvalidError(f"unknown field {shown(name)}, allowed are {', '.join(_FIELDS)}")
        if not isinstance(value, str):
            raise InvalidError(f"{name} is {shown(value)}, it must be a text")
    for name in ("input_text", "output_name"):
        if name not in fields:
            raise InvalidError(f"{name} is missing")
    if not _NAME.fullmatch(fields["output_name"]):
        raise InvalidError(
            f"output_name is {shown(fields['output_name'])}, it may have letters, digits, spaces and . _ -, at most 100"
        )
    utterance = speech.utterance(fields["input_text"], fields.get("voice") or None, 1.0, param="input_text")
    return Task(utterance, re.sub(r"\.(wav|flac)$", "", fields["output_name"]), line)
