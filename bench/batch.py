"""Many clips: the batch client beside a process for each, and beside the engine alone; a long task file's check."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from build.console import out
from service.engines.base import Utterance
from service.engines.piper import PiperEngine
from tests.support.stack import Stack

CLIPS = 200
PROCESSES = 12  # clips that have a process of their own: the rate is what counts
FEW, MANY = 100, 10_000  # lines
WARM_UP = 8
# What a script of one's own does for each line: start, load the model, say it, write a file.
ONE_CLIP = """\
import sys, wave
from service.engines.base import Utterance
from service.engines.piper import PiperEngine
engine = PiperEngine(1)
engine.load(lambda _: None)
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, engine.sample_rate, 0, "NONE", ""))
    for piece in engine.synthesize(Utterance(sys.argv[2], "joe")):
        file.writeframes(piece.samples.tobytes())
"""


@dataclass(frozen=True)
class Checked:
    """One check of a task file: seconds of the whole command, and the most memory that it had, in MB."""

    seconds: float
    memory_mb: float


def measure(stack: Stack, runs: int) -> None:
    """Prints clips a second each way and their ratios, medians of `runs` that take turns; then a task file's check."""
    stack.run("build.cutover", "switch", stack.release("bench: batch"))
    cores = len(os.sched_getaffinity(0))
    engine = PiperEngine(cores)
    engine.load(lambda _: None)
    scratch = stack.root.parent
    tasks = _tasks(scratch / "tasks.jsonl", CLIPS)
    ours, alone, processes = [], [], []
    for _ in range(runs):
        alone.append(_alone(engine, cores))
        ours.append(_batch(stack, tasks, scratch / "clips", cores))
        processes.append(_processes(stack, scratch / "clip", cores))
    batch, limit, each = (median(column) for column in (ours, alone, processes))
    out.print(f"service.batch, {CLIPS} clips: {batch:.2f} a second, from command to its end (median of {runs})")
    out.print(f"the engine alone, {cores} at a time, its model loaded: {limit:.2f} a second; ratio {batch / limit:.2f}")
    out.print(f"a process for each clip, {cores} at a time: {each:.2f} a second; ratio {batch / each:.1f}")
    _show_check(stack, scratch, runs)


def _text(number: int) -> str:
    return f"This is clip number {number} of a batch that nobody waits for."


def _tasks(path: Path, lines: int) -> Path:
    each = ({"output_name": f"clip-{number:05}", "input_text": _text(number)} for number in range(lines))
    path.write_text("".join(json.dumps(line) + "\n" for line in each))
    return path


def _batch(stack: Stack, tasks: Path, folder: Path, cores: int) -> float:
    """Clips a second; as many in flight from the beginning as keep every core busy while answers are on their way."""
    shutil.rmtree(folder, ignore_errors=True)
    at_once = str(2 * cores)
    options = ("--endpoint", stack.url, "--out", str(folder), "--in-flight", at_once, "--in-flight-max", at_once)
    began = time.monotonic()
    stack.run("service.batch", "run", str(tasks), *options)
    return CLIPS / (time.monotonic() - began)


def _alone(engine: PiperEngine, cores: int) -> float:
    """Clips a second of the engine itself, nothing written."""

    def say(numbers: Iterable[int]) -> None:
        for _ in pool.map(lambda number: list(engine.synthesize(Utterance(_text(number), "joe"))), numbers):
            pass

    with ThreadPoolExecutor(cores) as pool:
        say(range(WARM_UP))
        began = time.monotonic()
        say(range(CLIPS))
        return CLIPS / (time.monotonic() - began)


def _processes(stack: Stack, path: Path, cores: int) -> float:
    """Clips a second by a process, and a load of the model, for each."""

    def say(number: int) -> None:
        argv = [sys.executable, "-c", ONE_CLIP, f"{path}-{number}.wav", _text(number)]
        subprocess.run(argv, cwd=stack.root, check=True, capture_output=True)

    with ThreadPoolExecutor(cores) as pool:
        began = time.monotonic()
        for _ in pool.map(say, range(PROCESSES)):
            pass
        return PROCESSES / (time.monotonic() - began)


def _show_check(stack: Stack, scratch: Path, runs: int) -> None:
    few, many = (
        [_check(stack, path) for _ in range(runs)]
        for path in (_tasks(scratch / f"{lines}.jsonl", lines) for lines in (FEW, MANY))
    )
    seconds, memory_mb = (median(getattr(each, name) for each in many) for name in ("seconds", "memory_mb"))
    start_s, least_mb = (median(getattr(each, name) for each in few) for name in ("seconds", "memory_mb"))
    out.print(
        f"service.batch check of {MANY:,} lines: {seconds:.2f} s and {memory_mb:.0f} MB at most, {start_s:.2f} s and "
        f"{least_mb:.0f} MB of {FEW} lines (medians of {runs})"
    )


def _check(stack: Stack, tasks: Path) -> Checked:
    argv = [sys.executable, "-m", "service.batch", "check", str(tasks)]
    began = time.monotonic()
    process = subprocess.Popen(argv, cwd=stack.root, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen waits for it, too
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return Checked(took, used.ru_maxrss * 1024 / 1e6)
