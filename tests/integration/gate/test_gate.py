"""The gate alone: a release in a container of its own, beside the live one; nothing is left of it."""

from __future__ import annotations

import json
import wave

from build.errors import GateRefusedError
from harness.releases import SILENCE, derived
from harness.stack import Stack


def left_over(stack: Stack) -> list[str]:
    return [str(each.name) for each in stack.docker.containers.list(all=True) if f"{stack.project}-throw" in each.name]


def test_a_good_release_passes_beside_the_live_one(stack: Stack) -> None:
    sha, before = stack.release("to be gated"), stack.containers()
    done = stack.run("build.cutover", "gate", sha, "--json", CUTOVER_GATE_SYNTHESES="6")
    found = json.loads(done.stdout)
    assert found["release"] == sha
    judged = found["gate"]
    assert len(judged["results"]) >= 6
    assert all(result["faults"] == [] and result["deviations"] for result in judged["results"])
    assert judged["live_realtime"] > 0
    assert "live release does not pass" not in done.stderr
    kept = sorted((stack.root / "out/gates" / sha).glob("*.wav"))
    assert {path.stem.rsplit("-", 1)[1] for path in kept} == {"candidate", "live"}
    with wave.open(str(kept[0])) as reader:
        assert reader.getnframes() == reader.getframerate() * reader.getnframes() / reader.getframerate() > 10_000
    assert stack.containers() == before
    assert left_over(stack) == []


def test_a_silent_release_is_refused_with_the_table_and_leaves_nothing(stack: Stack) -> None:
    reference, before = derived(stack, "mute", SILENCE), stack.containers()
    done = stack.run("build.cutover", "gate", reference, check=False)
    stack.docker.images.remove(reference, force=True)
    assert done.returncode == GateRefusedError.exit_code, done.stderr
    assert "silent" in done.stderr
    assert "| bounds" in done.stderr
    assert stack.containers() == before
    assert left_over(stack) == []


def test_the_live_release_can_be_calibrated_on(stack: Stack) -> None:
    status = stack.status()
    bounds = stack.root / "golden/calibrated/joe.yaml"
    before = bounds.read_text()
    try:
        done = stack.run("build.golden", "calibrate", "--runs", "3")
        calibrated = bounds.read_text()
    finally:
        bounds.write_text(before)
    assert "+  words:" in done.stdout
    assert f"release: {status['colours'][status['live']]['release']['sha']}" in calibrated
