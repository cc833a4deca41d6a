"""Holds on a GPU with room for one model: requests wait, and no failure loses one.

The GPU is a fake NVML (harness/gpu.py), read by the real nvidia-ml-py in the containers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from build.errors import CandidateExitedError, GateRefusedError, InsufficientGpuMemoryError, PreflightError
from harness import gpu
from harness.gpu import GIB, FakeGpus, renamed
from harness.load import Report, hammering
from harness.stack import Stack, crash, wait_for
from harness.tab import open_tab

pytestmark = pytest.mark.alone

RATE = 3.0
LOAD_S = 5.0


@pytest.fixture(scope="module")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> FakeGpus:
    """A fake GPU of 16 GiB; a model uses 10 of them."""
    folder = tmp_path_factory.mktemp("gpus") / "gpus"
    folder.parent.chmod(0o755)
    return gpu.make(folder)


@pytest.fixture(scope="module")
def held(stack: Stack, tmp_path_factory: pytest.TempPathFactory, gpus: FakeGpus) -> Iterator[Stack]:
    """A stack on the fake GPUs with a first release live."""
    with gpu.stack_on(gpus, tmp_path_factory.mktemp("hold"), stack) as held:
        held.env["CUTOVER_GATE_SYNTHESES"] = "2"
        yield held


def live(stack: Stack) -> tuple[str, str]:
    """Return the live colour and its release."""
    status = stack.status()
    return status["live"], status["colours"][status["live"]]["release"]["sha"]


def newest(stack: Stack) -> list[dict[str, Any]]:
    """Return the records of the newest cutover."""
    records = stack.journal()
    return [record for record in records if record["cutover"] == records[-1]["cutover"]]


def at(records: list[dict[str, Any]], event: str, step: str) -> float:
    record = next(record for record in records if (record["event"], record.get("step")) == (event, step))
    return datetime.fromisoformat(record["at"]).timestamp()


def fact(records: list[dict[str, Any]], name: str) -> Any:
    return next(record["facts"][name] for record in records if name in record.get("facts", {}))


def assert_nothing_left_over(stack: Stack, gpus: FakeGpus, report: Report) -> None:
    """Check that no hold, lock, start order or memory remains, and that no request was lost."""
    print(report.summary())
    assert report.failed == [], report.summary()
    status = stack.status()
    assert (status["hold"], status["lock"], status["in_progress"]) == ({"mode": "none", "held": 0}, None, None)
    code, parked = stack.container("agent").exec_run(["find", "/run/orders", "-type", "f"])
    assert (code, parked) == (0, b"")
    colour = stack.container(f"app-{status['live']}")
    output = colour.exec_run(["python", "-m", "service.probe", "gpu"]).output
    assert b'"used": %d' % (10 * GIB) in output, output
    before = stack.containers()
    stack.compose("up", "-d")
    assert stack.containers() == before


def test_a_hold_loses_no_request(held: Stack, gpus: FakeGpus) -> None:
    gpus.behave(held.releases[0], late_s=2.0)
    gpus.behave("second", load_s=LOAD_S)
    reference = renamed(held, "second")
    with hammering(held.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        with held.start("build.cutover", "switch", reference, "--unverified") as process:
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "unloaded" in line or "holding" in line:  # in flight when the hold begins, and held
                    load.ask_long(streamed="unloaded" in line)
        assert process.returncode == 0, "".join(lines)
        served = len(load.report.samples)
        wait_for("traffic after the switch", lambda: len(load.report.samples) > served + RATE)
    print("".join(lines))
    assert_nothing_left_over(held, gpus, load.report)
    assert set(load.report.releases) == {held.releases[0], "second"}
    assert live(held)[1] == "second"
    records = newest(held)
    assert records[0]["strategy"] == "hold"
    assert "16.0 GiB) has 6.0 GiB free, the live release uses 10.0 GiB" in records[0]["plan"]["reason"]
    assert fact(records, "closed_s") >= 2.0, "the hold waits for memory that is freed late"
    assert fact(records, "load_s") >= LOAD_S
    assert fact(records, "waited") > 0
    assert fact(records, "vram")[0]["bytes"] == fact(records, "vram_old")[0]["bytes"] == 10 * GIB
    hold_s = fact(records, "hold_s")
    slowest = max(sample.seconds for sample in load.report.samples if sample.kind == "short")
    print(f"held {hold_s} s, slowest short {slowest:.1f} s, {fact(records, 'waited')} waited")
    assert LOAD_S + 2 < hold_s < 60
    assert load.report.spanning(at(records, "intent", "hold"), at(records, "intent", "hold") + 0.1), (
        "no long request was in flight"
    )


BAD = [
    ("silent", {"silent": True}, GateRefusedError, "silent"),
    ("greedy", {"bytes": 17 * GIB}, CandidateExitedError, "exited"),
]


@pytest.mark.parametrize(("name", "behaviour", "error", "reason"), BAD, ids=[case[0] for case in BAD])
def test_the_old_process_reloads_when_the_candidate_fails_in_the_hold(
    held: Stack, gpus: FakeGpus, name: str, behaviour: dict[str, Any], error: Any, reason: str
) -> None:
    gpus.behave(name, **behaviour)
    reference = renamed(held, name)
    before, old = live(held), held.container(f"app-{live(held)[0]}").attrs["State"]["StartedAt"]
    with hammering(held.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        done = held.run("build.cutover", "switch", reference, "--unverified", check=False)
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + RATE)
    print(done.stderr)
    assert done.returncode == error.exit_code
    assert reason in done.stderr
    assert live(held) == before
    assert held.container(f"app-{before[0]}").attrs["State"]["StartedAt"] == old, "the old process has not restarted"
    assert set(load.report.releases) == {before[1]}
    assert newest(held)[-1]["state"] == "rolled-back"
    assert_nothing_left_over(held, gpus, load.report)


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_a_hold_with_a_killed_orchestrator_is_finished_or_rolled_back(
    held: Stack, gpus: FakeGpus, command: str
) -> None:
    name = f"killed-{command}"
    gpus.behave(name, load_s=LOAD_S)
    reference, before = renamed(held, name), live(held)
    with hammering(held.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        with held.start("build.cutover", "switch", reference, "--unverified") as killed:
            assert killed.stdout
            for line in killed.stdout:
                if "loading" in line:
                    killed.kill()
        assert newest(held)[-1]["step"] == "load"
        assert held.status()["hold"]["mode"] == "all"
        held.run("build.cutover", command)
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + RATE)
    assert live(held)[1] == (name if command == "resume" else before[1])
    assert_nothing_left_over(held, gpus, load.report)


def test_a_process_that_does_not_free_its_memory_is_named_and_stopped(held: Stack, gpus: FakeGpus) -> None:
    colour, release = live(held)
    gpus.behave(release, keeps=8 * GIB)
    old = held.container(f"app-{colour}")
    reference = renamed(held, "after-the-leak")
    with hammering(held.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        done = held.run("build.cutover", "switch", reference, "--unverified", CUTOVER_VRAM_TIMEOUT_S="2")
    print(done.stderr)
    assert f"in {old.name} (8.0 GiB)" in done.stderr
    assert f"stopping {old.name}" in done.stderr
    assert live(held)[1] == "after-the-leak"
    assert_nothing_left_over(held, gpus, load.report)


def test_a_release_that_fits_on_no_gpu_is_refused_with_the_memory(held: Stack) -> None:
    reference = renamed(held, "too-big", f"ai.glm-tts.vram-bytes={30 * GIB}")
    before, records = held.containers(), len(held.journal())
    done = held.run("build.cutover", "switch", reference, "--unverified", check=False)
    assert done.returncode == InsufficientGpuMemoryError.exit_code
    assert "30.0 GiB (the image's label)" in done.stderr
    assert "the live release uses 10.0 GiB" in done.stderr
    assert held.containers() == before
    assert len(held.journal()) == records


def test_of_two_gpus_the_candidate_gets_the_free_one_and_keeps_it_after_a_crash(held: Stack, gpus: FakeGpus) -> None:
    gpus.plug(2)
    try:
        reference = renamed(held, "elsewhere")
        done = held.run("build.cutover", "switch", reference, "--unverified", CUTOVER_STANDBY="false")
        assert "strategy overlap" in done.stderr
        assert newest(held)[0]["plan"]["devices"] == ["GPU-fake-1"]
        colour = held.container(f"app-{live(held)[0]}")
        assert devices_used(colour) == [0, 10 * GIB]
        crash(colour)
        wait_for("the restarted process's model", lambda: devices_used(colour) == [0, 10 * GIB])
        wait_for("its readiness", lambda: held.status()["colours"][live(held)[0]]["phase"] == "ready")
        before = held.containers()
        held.compose("up", "-d")
        assert held.containers() == before
    finally:
        gpus.plug(1)


def test_an_open_web_tab_moves_with_two_holds_in_a_row(held: Stack, gpus: FakeGpus) -> None:
    with open_tab(held.url) as tab, hammering(held.url, RATE) as load:
        wait_for("the tab's stream", lambda: tab.releases)
        expected = [live(held)[1], "first-move", "second-move"]
        for name in expected[1:]:
            held.run("build.cutover", "switch", renamed(held, name), "--unverified")
            wait_for("the tab's move", lambda: tab.releases[-1] == live(held)[1])
        assert newest(held)[0]["strategy"] == "hold"
    assert (tab.releases, tab.broken) == (expected, [])
    assert_nothing_left_over(held, gpus, load.report)


def test_a_release_for_a_newer_driver_is_refused(held: Stack) -> None:
    reference = renamed(held, "too-new", "ai.glm-tts.minimum-driver=575.10")
    done = held.run("build.cutover", "switch", reference, "--unverified", "--strategy", "hold", check=False)
    assert done.returncode == PreflightError.exit_code
    assert "driver 570.00 is older than 575.10" in done.stderr


def test_two_replicas_get_one_gpu_each_in_a_hold(held: Stack, gpus: FakeGpus) -> None:
    gpus.plug(2)
    try:
        for name in ("pair", "next-pair"):
            switch_to_two(held, name)
        before = held.containers()
        held.compose("up", "-d")
        assert held.containers() == before
        held.run("build.cutover", "switch", renamed(held, "single"), "--unverified")
    finally:
        gpus.plug(1)


def switch_to_two(held: Stack, name: str) -> None:
    reference = renamed(held, name)
    with hammering(held.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        held.run("build.cutover", "switch", reference, "--unverified", "--replicas", "2", "--soak", "2")
    print(load.report.summary())
    assert load.report.failed == [], load.report.summary()
    assert newest(held)[0]["strategy"] == "hold"
    colour, release = live(held)
    assert release == name
    for service in (f"app-{colour}", f"app-{colour}-2"):
        assert devices_used(held.container(service)) == [10 * GIB, 10 * GIB]


def devices_used(colour: Any) -> list[int]:
    gpus = json.loads(colour.exec_run(["python", "-m", "service.probe", "gpu"]).output)
    return [device["used"] for device in gpus["devices"]]
