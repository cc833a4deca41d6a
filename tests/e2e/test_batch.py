"""A batch goes on while releases come and go: every item once, none failed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from harness.stack import Stack, wait_for
from tests.unit.batch.support import clips, manifest, named

pytestmark = pytest.mark.alone

ITEMS, CUTOVERS = 500, 3
# More than two cores speak, so that some wait; no more, so that there is still a batch when the last release goes.
SETTINGS = "in_flight: 4\nin_flight_max: 4\n"


def task(number: int) -> str:
    text = f"This is clip number {number}."
    return json.dumps({"output_name": f"clip-{number:03}", "input_text": text}) + "\n"


def wait_for_more(folder: Path, batch: subprocess.Popen[str]) -> None:
    """Until another shard is full: clips of the release that is live."""
    before = len(clips(folder))
    wait_for("another shard", lambda: len(clips(folder)) > before or batch.poll() is not None)
    assert batch.poll() is None, f"it ended with {len(clips(folder))} clips, before the last release went"


def live(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


def cut_over(stack: Stack, batch: subprocess.Popen[str], *command: str) -> None:
    """A cutover that has the batch in full flight from before traffic moves until the old colour is drained.

    It sleeps while the candidate is judged and things are written down: that says nothing of a batch, and takes as long
    as the machine likes.
    """
    batch.send_signal(signal.SIGSTOP)
    moves = "passed" if "rollback" in command else "judged in"
    said = [""]
    with stack.start("build.cutover", *command) as cutover:
        assert cutover.stdout
        for line in cutover.stdout:
            if moves in line or "draining" in said[-1]:
                batch.send_signal(signal.SIGCONT if moves in line else signal.SIGSTOP)
            said.append(line)
    batch.send_signal(signal.SIGCONT)
    assert cutover.returncode == 0, "".join(said)
    assert any(moves in line for line in said), "the batch slept through it"


def test_a_batch_of_500_loses_nothing_through_three_cutovers_and_a_rollback(stack: Stack, tmp_path: Path) -> None:
    served = [live(stack), *(stack.release(f"batch {number}") for number in range(CUTOVERS))]
    tasks, out, config = tmp_path / "tasks.jsonl", tmp_path / "clips", tmp_path / "batch.yaml"
    tasks.write_text("".join(map(task, range(ITEMS))))
    config.write_text(f"{SETTINGS}endpoint: {stack.url}/v1\nout: clips\n")

    batch = stack.start("batch", "run", str(tasks), "--config", str(config))
    try:
        for sha in served[1:]:
            wait_for_more(out, batch)
            cut_over(stack, batch, "switch", sha)
        wait_for_more(out, batch)
        cut_over(stack, batch, "rollback")
        assert live(stack) == served[-2]
        wait_for_more(out, batch)
        batch.wait(timeout=300)
    finally:
        batch.kill()
        said, _ = batch.communicate()
        print(said)

    assert batch.returncode == 0, said
    assert clips(out) == named(ITEMS)
    assert not (out / "failed.jsonl").exists()
    entries = manifest(out)
    print(Counter(entry["release"] for entry in entries), Counter(entry["tries"] for entry in entries))
    assert {entry["release"] for entry in entries} == set(served)
    assert entries[-1]["release"] == served[-2], "what was left was spoken by the release that traffic went back to"
    verified = stack.run("batch", "verify", str(tasks), str(out))
    assert verified.stdout.startswith(f"{ITEMS} clips, each once")
