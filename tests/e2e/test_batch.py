"""A batch during cutovers: every item once, no failure."""

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
# More requests than cores, so that some wait; few enough that the batch still runs at the last release.
SETTINGS = "in_flight: 4\nin_flight_max: 4\n"


def task(number: int) -> str:
    text = f"This is clip number {number}."
    return json.dumps({"output_name": f"clip-{number:03}", "input_text": text}) + "\n"


def wait_for_more(folder: Path, batch: subprocess.Popen[str]) -> None:
    """Wait until another shard is full, which then has clips of the live release."""
    before = len(clips(folder))
    wait_for("another shard", lambda: len(clips(folder)) > before or batch.poll() is not None)
    assert batch.poll() is None, f"it ended with {len(clips(folder))} clips, before the last cutover"


def live(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


def cut_over(stack: Stack, batch: subprocess.Popen[str], *command: str) -> None:
    """Run a cutover while the batch is in flight, from before traffic moves until the old colour is drained.

    The batch is stopped during the gate and the end of the cutover: they take a while and do not affect a batch.
    """
    batch.send_signal(signal.SIGSTOP)
    moves = "passed" if "rollback" in command else "judged in"
    lines = [""]
    with stack.start("build.cutover", *command) as cutover:
        assert cutover.stdout
        for line in cutover.stdout:
            if moves in line or "draining" in lines[-1]:
                batch.send_signal(signal.SIGCONT if moves in line else signal.SIGSTOP)
            lines.append(line)
    batch.send_signal(signal.SIGCONT)
    assert cutover.returncode == 0, "".join(lines)
    assert any(moves in line for line in lines), "the batch was stopped during the whole cutover"


def test_a_batch_of_500_loses_no_item_in_three_cutovers_and_a_rollback(stack: Stack, tmp_path: Path) -> None:
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
        output, _ = batch.communicate()
        print(output)

    assert batch.returncode == 0, output
    assert clips(out) == named(ITEMS)
    assert not (out / "failed.jsonl").exists()
    entries = manifest(out)
    print(Counter(entry["release"] for entry in entries), Counter(entry["tries"] for entry in entries))
    assert {entry["release"] for entry in entries} == set(served)
    assert entries[-1]["release"] == served[-2], "the last items came from the release of the rollback"
    verified = stack.run("batch", "verify", str(tasks), str(out))
    assert verified.stdout.startswith(f"{ITEMS} clips: none missing")
