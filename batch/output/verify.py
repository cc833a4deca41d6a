"""`verify`: check that an output has the clip of each task exactly once and unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from batch.errors import OutputError, VerifyError
from batch.output import shards
from batch.output.output import manifest_lines, shard_paths, stored_settings
from batch.tasks.prompts import Prompts
from batch.tasks.validate import numbered
from service.taskfile import names
from service.taskfile.tasks import BadLineError, Rules, parse


def verify(path: Path, folder: Path, max_chars: int, report: Callable[[str], None]) -> int:
    """Check `folder` against a task file; return the number of clips if all are valid.

    Raises:
        VerifyError: after all problems were reported.
    """
    faults = 0

    def count(problems: Iterator[str]) -> None:
        nonlocal faults
        for problem in problems:
            faults += 1
            report(problem)

    done: dict[int, str] = {}
    count(_shards(folder, done))
    count(_manifest(folder))
    clips = len(done)
    count(_tasks(path, Rules(stored_settings(folder).get("response_format", "wav"), max_chars), done))
    if done:
        faults += 1
        report(f"clips that belong to no task: {len(done)}")
    if faults:
        number = "1 fault" if faults == 1 else f"{faults} faults"
        raise VerifyError(f"{folder} does not match {path}: {number}", "run the tasks again: it keeps valid clips")
    return clips


def _shards(folder: Path, done: dict[int, str]) -> Iterator[str]:
    """Check the bytes of every clip, and that no name repeats; fill `done` with identities by name."""
    for path in shard_paths(folder):
        try:
            yield from (f"{path.name}: {name} has changed since it was written" for name in shards.altered(path))
            entries = shards.read(path)
        except OutputError as error:
            yield error.message
            continue
        for entry in entries:
            key = names.key(entry.output_name)
            if key in done:
                yield f"{path.name}: {entry.output_name} is also in an earlier shard"
            done[key] = entry.task


def _manifest(folder: Path) -> Iterator[str]:
    """Compare the manifest with those of the shards, line by line."""
    manifest = manifest_lines(folder)
    for path in shard_paths(folder):
        try:
            entries = shards.read(path)
        except OutputError:
            continue
        for entry in entries:
            if next(manifest, "") != entry.line():
                yield f"{shards.MANIFEST} differs from the shards from {entry.output_name} on"
                return
    if next(manifest, ""):
        yield f"{shards.MANIFEST} lists more clips than the shards hold"


def _tasks(path: Path, rules: Rules, done: dict[int, str]) -> Iterator[str]:
    """Compare each task with its clip; remove the requested clips from `done`."""
    prompts = Prompts(path.parent)
    for number, line in numbered(path):
        try:
            task = parse(line, rules)
            identity = task.identity(prompts.digest(task.prompt_audio))
        except BadLineError as error:
            yield f"line {number} {error}"
            continue
        match done.pop(names.key(task.output_name), None):
            case None:
                yield f"line {number}: {task.output_name} is missing"
            case other if other != identity:
                yield f"line {number}: {task.output_name} was made from another task"
