"""Read a task file twice, one line at a time: first to check all of it, then to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batch.errors import TasksError
from batch.tasks import other_forms
from batch.tasks.prompts import Prompts
from service.fields import quote
from service.taskfile import lines, names
from service.taskfile.tasks import BadLineError, EncodingError, Rules, Task, parse

Report = Callable[[int, str], None]
"""Receives the number of a line and its problem."""


@dataclass
class CheckedTasks:
    """A valid task file. `pending` maps the names (names.key) of the pending tasks to their line numbers.

    That is a hundred bytes a line; no other part of the file stays in memory.
    """

    path: Path
    rules: Rules
    prompts: Prompts
    pending: dict[int, int] = field(default_factory=dict)
    done: int = 0

    def todo(self) -> Iterator[tuple[Task, str]]:
        """Yield each pending task once, with its identity.

        Raises:
            TasksError: the file has changed since the check.
        """
        for number, line in numbered(self.path):
            try:
                task = parse(line, self.rules)
                if not self.pending.pop(names.key(task.output_name), None):
                    continue
                identity = task.identity(self.prompts.digest(task.prompt_audio))
            except BadLineError as error:
                raise _changed(self.path, f"line {number} {error}") from None
            yield task, identity
        if self.pending:
            raise _changed(self.path, f"{len(self.pending)} of its lines are missing")


def numbered(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the numbered lines of a task file, as lines.numbered; raise TasksError if the file cannot be read."""
    try:
        yield from lines.numbered(path)
    except lines.TaskFileError as error:
        raise TasksError(error.message, error.remedy) from None


def check(path: Path, rules: Rules, done: Mapping[int, str], report: Report) -> CheckedTasks:
    """Check every line of a task file; `done` maps names.key of each existing clip to its identity.

    Raises:
        TasksError: after every invalid line was reported.
    """
    other_forms.reject(path)
    checked = CheckedTasks(path, rules, Prompts(path.parent))
    first_lines: dict[int, int] = {}
    bad = encoded = 0
    for number, line in numbered(path):
        try:
            task = parse(line, rules)
            identity = task.identity(checked.prompts.digest(task.prompt_audio))
            key = names.key(task.output_name)
            _unique(task, number, first_lines, key)
            if key not in done:
                checked.pending[key] = number
            elif done[key] != identity:
                raise BadLineError(
                    f"output_name {quote(task.output_name)} exists in the output already, made from another task"
                )
        except BadLineError as error:
            bad += 1
            encoded += isinstance(error, EncodingError)
            if encoded <= 1 or not isinstance(error, EncodingError):
                report(number, str(error))
    if bad:
        remedy = "correct them; for new clips of changed tasks, choose another --out"
        if encoded:
            remedy = (
                f"{encoded} lines are not UTF-8: {other_forms.command(path, '--encoding', 'ENCODING')}, such as cp1252"
            )
        raise TasksError(f"{path} has {bad} bad {'line' if bad == 1 else 'lines'}; no request was sent", remedy)
    if not first_lines:
        raise TasksError(f"{path} has no tasks", "write one JSON object per line, with output_name and input_text")
    checked.done = len(first_lines) - len(checked.pending)
    return checked


def _unique(task: Task, number: int, first_lines: dict[int, int], key: int) -> None:
    first = first_lines.setdefault(key, number)
    if first != number:
        raise BadLineError(f"output_name {quote(task.output_name)} repeats that of line {first}")


def _changed(path: Path, what: str) -> TasksError:
    return TasksError(f"{path} changed during the run: {what}", "run the same command again")
