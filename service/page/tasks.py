"""Task file of a batch on the page, checked as a whole before synthesis; same format as `python -m batch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.engine import Utterance
from service.errors import InvalidError
from service.fields import quote
from service.synthesis.speech import Speech
from service.taskfile import lines, names
from service.taskfile.tasks import BadLineError, Rules, parse

MAX_LINES = 100
MAX_CHARS = 20_000  # about 25 minutes of speech: the zip is kept in memory

# Fields without a use on the page: it has no folder for recordings, and it does not set seeds.
_UNSUPPORTED = ("prompt_audio", "prompt_text", "seed")


class BadTasksError(Exception):
    """The file is missing, or invalid: then `problems` has a line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class PageTask:
    """One line of the file: what to synthesize, the name of its clip, and the original line."""

    utterance: Utterance
    file: str
    line: str


def read_tasks(path: Path, form: str, speech: Speech) -> list[PageTask]:
    """Read a file whose clips have the format `form`; raise BadTasksError with all problems and their line numbers."""
    try:
        numbered = list(lines.numbered(path))
    except lines.TaskFileError as error:
        raise BadTasksError([f"The file cannot be read; {error.remedy}"]) from None
    if not 1 <= len(numbered) <= MAX_LINES:
        raise BadTasksError([f"The file has {len(numbered)} tasks; it must have 1 to {MAX_LINES}"])
    rules = Rules(form, speech.max_chars)
    tasks: list[PageTask] = []
    problems: list[str] = []
    first_lines: dict[int, int] = {}
    for number, line in numbered:
        try:
            task = _read(line, rules, speech)
            first = first_lines.setdefault(names.key(task.file), number)
            if first != number:
                raise BadLineError(f"output_name {quote(task.file)} is already used in line {first}")
            tasks.append(task)
        except (BadLineError, InvalidError) as error:
            problems.append(f"Line {number}: {error}")
    chars = sum(len(task.utterance.text) for task in tasks)
    if chars > MAX_CHARS:
        problems.append(f"The texts have {chars} characters in total, at most {MAX_CHARS} are allowed")
    if problems:
        raise BadTasksError(problems)
    return tasks


def _read(line: bytes | None, rules: Rules, speech: Speech) -> PageTask:
    task = parse(line, rules)
    if unsupported := [name for name in _UNSUPPORTED if name in task.present_fields()]:
        raise BadLineError(f"has {', '.join(unsupported)}, which this page does not support")
    utterance = speech.utterance(task.input_text, task.voice or None, 1.0, param="input_text")
    return PageTask(utterance, task.output_name, (line or b"").decode().strip())
