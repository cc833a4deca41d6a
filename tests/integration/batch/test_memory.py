"""Memory of the client with large task files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.batch.support import environment, plain, write_tasks
from tests.unit.service.taskfile.test_tasks import line

PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mb(path: Path, code: int) -> tuple[float, str]:
    """Return a check's peak memory (MB) and its stderr; a small parent, since a child's peak starts at its parent's."""
    argv = [sys.executable, "-m", "batch", "check", str(path)]
    argv = [sys.executable, "-S", "-c", PEAK, *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment())
    ended, peak = done.stdout.split()[-2:]
    assert int(ended) == code, done.stderr
    return int(peak) / 1024, plain(done.stderr)


def test_a_line_of_a_gigabyte_is_reported_without_being_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    with path.open("wb") as file:
        file.write(line() + b"\n")
        file.seek(2**30, os.SEEK_CUR)
        file.write(b"\n" + line(output_name="b") + b"\nnot json")
    usual, _ = peak_mb(write_tasks(tmp_path / "small.jsonl", 3), 0)
    peak, errors = peak_mb(path, 4)
    assert peak < usual + 8
    assert "line 2: has more than 262144 bytes" in errors
    assert "line 4: is not JSON" in errors
    assert "has 2 bad lines" in errors


def test_memory_does_not_depend_on_the_length_of_the_file(tmp_path: Path) -> None:
    usual, _ = peak_mb(write_tasks(tmp_path / "small.jsonl", 10), 0)
    tasks = write_tasks(tmp_path / "tasks.jsonl", 10_000, prompt_text="", voice="x" * 2000)
    assert tasks.stat().st_size > 20_000_000
    peak, _ = peak_mb(tasks, 0)
    assert peak < usual + 8
