"""`convert`: write a task file from a list in another form."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from batch.errors import TasksError
from batch.output import shards
from batch.tasks import forms
from service.taskfile.lines import other_encoding

_MAX_BYTES = 256 * 1024 * 1024


@dataclass
class Conversion:
    """Result: the number of tasks, and the fields that have no place in a task, with counts."""

    tasks: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def convert(path: Path, out: Path, encoding: str) -> Conversion:
    """Write the tasks of a list in any form that `forms` knows; raise TasksError if it is in no such form."""
    text = _read(path, encoding)
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


def _read(path: Path, encoding: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TasksError(f"cannot read {path}: {error.strerror}", "choose a list of tasks") from None
    if len(content) > _MAX_BYTES:
        raise TasksError(f"{path} has more than {_MAX_BYTES} bytes", "split it")
    try:
        return content.decode(encoding or other_encoding(content[:4]) or "utf-8")
    except LookupError:
        raise TasksError(f"encoding {encoding} is unknown", "choose an encoding of Python, such as gb18030") from None
    except UnicodeDecodeError as error:
        remedy = "set --encoding, for example cp1252 or gb18030"
        raise TasksError(f"{path} is not {error.encoding}: byte {error.start + 1}", remedy) from None
