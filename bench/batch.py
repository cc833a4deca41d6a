"""Many clips: the batch client against one process per clip and against the engine alone; check of a long task file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import requests

from bench import direct_service
from build.console import out
from harness.load import TIMEOUT_S
from harness.stack import Stack, wait_for

TEXT = "This is clip number {} of a batch that no client waits for."
CLIPS = 200
PROCESSES = 12  # clips with a separate process each: only the rate matters
REQUESTS = 20
FEW, MANY = 1_000, 10_000  # lines
# Prints the duration of a command in seconds and its peak memory in KiB. It runs in a small separate process, because a
# child's peak starts at that of its parent.
WATCHED = """\
import resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class CheckResult:
    """One check of a task file by the command."""

    seconds: float
    memory_mb: float


def measure(stack: Stack, runs: int) -> None:
    """Print clips per second and ratios, medians of `runs` interleaved measurements; then the check of a task file."""
    stack.run("build.cutover", "switch", stack.release("bench: batch"))
    scratch = stack.root.parent
    tasks = _tasks(scratch / "tasks.jsonl", CLIPS)
    ours, alone, processes = [], [], []
    for _ in range(runs):
        alone.append(direct_service.rate(stack, "alone", _texts(CLIPS)).clips)
        ours.append(_batch(stack, tasks, scratch / "clips"))
        processes.append(direct_service.rate(stack, "processes", _texts(PROCESSES)).clips)
    batch, limit, per_process = (median(column) for column in (ours, alone, processes))
    out.print(f"the batch client, {CLIPS} clips: {batch:.2f} a second, from command to exit (median of {runs})")
    out.print(f"the engine alone with its model loaded, on every core: {limit:.2f} a second; {_ratio(ours, alone)}")
    out.print(f"a process per clip, on every core: {per_process:.2f} a second; {_ratio(ours, processes)}")
    _show_people(stack, tasks, scratch / "clips", runs)
    _show_check(stack, scratch, runs)


def _ratio(ours: list[float], others: list[float]) -> str:
    """Describe the ratios of interleaved measurements.

    A ratio above 1 against the engine alone means that other load used the processors.
    """
    ratios = [our / other for our, other in zip(ours, others, strict=True)]
    return f"ratio {median(ratios):.2f} (lowest {min(ratios):.2f}, highest {max(ratios):.2f})"


def _tasks(path: Path, lines: int) -> Path:
    tasks = ({"output_name": f"clip-{number:05}", "input_text": text} for number, text in enumerate(_texts(lines)))
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return path


def _texts(clips: int) -> list[str]:
    return [TEXT.format(number) for number in range(clips)]


def _batch(stack: Stack, tasks: Path, folder: Path) -> float:
    """Return clips per second with the client's default settings."""
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    stack.run("batch", "run", str(tasks), "--endpoint", stack.url, "--out", str(folder))
    return CLIPS / (time.monotonic() - began)


def _show_people(stack: Stack, tasks: Path, folder: Path, runs: int) -> None:
    """Measure short sequential requests of a person: alone, and during a batch with its maximum in flight."""
    alone, beside = [], []
    for _ in range(runs):
        alone.append(_person(stack.url))
        shutil.rmtree(folder, ignore_errors=True)
        options = ("--endpoint", stack.url, "--out", str(folder), "--in-flight", "16")
        with stack.start("batch", "run", str(tasks), *options) as batch:
            wait_for("the batch", lambda: list(folder.glob("shard-*.zip")))
            beside.append(_person(stack.url))
            batch.kill()
    out.print(
        f"a person's short request: {median(alone):.2f} s, beside a batch with 16 in flight {median(beside):.2f} s "
        f"(medians of {runs} medians of {REQUESTS})"
    )


def _person(url: str) -> float:
    """Return the median seconds of some requests."""
    body, took = {"input": "Good.", "voice": "joe", "response_format": "wav"}, []
    for _ in range(REQUESTS):
        began = time.monotonic()
        requests.post(f"{url}/v1/audio/speech", json=body, timeout=TIMEOUT_S).raise_for_status()
        took.append(time.monotonic() - began)
    return median(took)


def _show_check(stack: Stack, scratch: Path, runs: int) -> None:
    few, many = (
        [_check(stack, path) for _ in range(runs)]
        for path in (_tasks(scratch / f"{lines}.jsonl", lines) for lines in (FEW, MANY))
    )
    seconds, memory_mb = (median(getattr(check, name) for check in many) for name in ("seconds", "memory_mb"))
    start_s, least_mb = (median(getattr(check, name) for check in few) for name in ("seconds", "memory_mb"))
    out.print(
        f"python -m batch check of {MANY:,} lines: {seconds:.2f} s and {memory_mb:.0f} MB at most; of {FEW:,} lines "
        f"{start_s:.2f} s and {least_mb:.0f} MB: {memory_mb / least_mb - 1:+.1%} memory (medians of {runs})"
    )


def _check(stack: Stack, tasks: Path) -> CheckResult:
    argv = [sys.executable, "-c", WATCHED, sys.executable, "-m", "batch", "check", str(tasks)]
    values = subprocess.run(argv, cwd=stack.root, check=True, capture_output=True, text=True).stdout.split()
    return CheckResult(float(values[0]), int(values[1]) * 1024 / 1e6)
