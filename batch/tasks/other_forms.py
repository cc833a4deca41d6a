"""Reject lists of tasks in another form with the command that converts them."""

from __future__ import annotations

import shlex
from pathlib import Path

from batch.errors import TasksError
from batch.tasks import forms
from service.taskfile.lines import other_encoding

_HEAD = 64 * 1024


def command(path: Path, *options: str) -> str:
    """Return the command that converts a list."""
    out = path.with_name(f"{path.stem}.tasks.jsonl")
    return shlex.join(["python", "-m", "batch", "convert", str(path), *options, "--out", str(out)])


def reject(path: Path) -> None:
    """Raise TasksError with the command that converts the file, if it is a list in another form."""
    if not path.is_file():
        return  # the check that reads the lines says why
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return
    if not other_encoding(head[:4]) and (form := forms.recognise(head.decode(errors="replace"))):
        raise TasksError(
            f"{path} is {form}, but a task file has one JSON object per line", f"convert it: {command(path)}"
        )
