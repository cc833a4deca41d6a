"""`build.cutover gate`: a release in a temporary container beside the live one; the container is removed."""

from __future__ import annotations

import json
import wave

from build.errors import GateRefusedError
from harness.releases import SILENCE, derived
from harness.stack import Stack


def temporary_containers(stack: Stack) -> list[str]:
    names = [str(container.name) for container in stack.docker.containers.list(all=True)]
    return [name for name in names if f"{stack.project}-throw" in name]


def test_a_good_release_passes_beside_the_live_one(stack: Stack) -> None:
    sha, before = stack.release("to be gated"), stack.containers()
    done = stack.run("build.cutover", "gate", sha, "--json", CUTOVER_GATE_SYNTHESES="6")
    output = json.loads(done.stdout)
    assert output["release"] == sha
    judged = output["gate"]
    assert len(judged["results"]) >= 6
    assert all(result["faults"] == [] and result["deviations"] for result in judged["results"])
    assert judged["live_realtime"] > 0
    assert "live release fails" not in done.stderr
    recordings = sorted((stack.root / "out/gates" / sha).glob("*.wav"))
    assert {path.stem.rsplit("-", 1)[1] for path in recordings} == {"candidate", "live"}
    with wave.open(str(recordings[0])) as reader:
        assert reader.getnframes() == reader.getframerate() * reader.getnframes() / reader.getframerate() > 10_000
    assert stack.containers() == before
    assert temporary_containers(stack) == []


def test_a_silent_release_is_rejected_with_the_table_and_its_container_is_removed(stack: Stack) -> None:
    reference, before = derived(stack, "mute", SILENCE), stack.containers()
    done = stack.run("build.cutover", "gate", reference, check=False)
    stack.docker.images.remove(reference, force=True)
    assert done.returncode == GateRefusedError.exit_code, done.stderr
    assert "silent" in done.stderr
    assert "| bounds" in done.stderr
    assert stack.containers() == before
    assert temporary_containers(stack) == []


def test_the_live_release_can_be_calibrated(stack: Stack) -> None:
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
