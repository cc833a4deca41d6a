"""`convert`: write a task file from a list in another form."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from batch import textfile
from batch.errors import TasksError
from batch.output import shards
from batch.tasks import forms

_MAX_BYTES = 256 * 1024 * 1024


@dataclass
class Conversion:
    """Result: the number of tasks, and the fields that have no place in a task, with counts."""

    tasks: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def convert(path: Path, out: Path, encoding: str) -> Conversion:
    """Write the tasks of a list in any form that `forms` knows; raise TasksError if it is in no such form."""
    try:
        text = textfile.read(path, _MAX_BYTES, encoding)
    except textfile.TextFileError as error:
        raise TasksError(str(error), error.remedy) from None
    result = Conversion()
    try:
        with shards.replaced(out) as file:
            for number, record in enumerate(forms.records(text), start=1):
                task, left_out = forms.task(record, number)
                if prompt := task.get("prompt_audio"):
                    task["prompt_audio"] = os.path.relpath(path.parent / str(prompt), out.parent)
                file.write(json.dumps(task, ensure_ascii=False).encode() + b"\n")
                result.tasks = number
                result.left_out.update(left_out)
    except (ValueError, RecursionError) as error:
        raise TasksError(f"{path} cannot be converted: {error}", "docs/guides/batch.md shows the forms") from None
    except OSError as error:
        raise TasksError(f"{out} cannot be written: {error.strerror}", "choose another --out") from None
    return result
