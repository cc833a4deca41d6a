"""Cutovers under load: no request is lost, whether the candidate is good or bad."""

from __future__ import annotations

import signal
from datetime import datetime
from typing import Any

import pytest
import requests

from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    GateRefusedError,
    ImageNotFoundError,
    InterruptedByUserError,
    LockHeldError,
)
from harness.load import Report, hammering
from harness.releases import SILENCE, derived
from harness.stack import Stack, crash, wait_for

pytestmark = pytest.mark.alone

SWITCHES, LONG = 5, 3


def cut_over_under_load(stack: Stack, rate: float, *command: str) -> tuple[Report, dict[str, float]]:
    """Run one cutover under load, with long requests that begin just before traffic moves."""
    with hammering(stack.url, rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > rate)
        lines = []
        # A rollback moves traffic right after one synthesis.
        before = "passed" if "rollback" in command else "judged in"
        with stack.start("build.cutover", *command) as process:
            assert process.stdout
            for line in process.stdout:
                lines.append(line)
                if before in line:
                    for number in range(LONG):
                        load.ask_long(streamed=number == 1)
        assert process.returncode == 0, "".join(lines)
        served = len(load.report.samples)
        wait_for("traffic after the switch", lambda: len(load.report.samples) > served + rate)
    return load.report, drain_times(stack)


def drain_times(stack: Stack) -> dict[str, float]:
    """Return when the newest cutover began to move traffic and when it had moved (Unix times)."""
    newest = stack.journal()[-1]["cutover"]
    records = {(r["event"], r.get("step")): r for r in stack.journal() if r["cutover"] == newest}
    moved, drained = records[("intent", "switch")], records[("done", "switch")]
    return {"began": unix(moved["at"]), "drain": unix(drained["at"])}


def unix(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def assert_nothing_was_lost(report: Report, times: dict[str, float]) -> None:
    print(report.summary())
    assert report.failed == [], report.summary()
    assert len(report.releases) == 2, report.releases
    assert report.spanning(times["began"], times["drain"]), "no long request was in flight across the switch"


def test_five_switches_and_a_rollback_lose_no_request(stack: Stack, rate: float) -> None:
    shas = []
    for number in range(SWITCHES):
        shas.append(stack.release(f"switch {number}"))
        report, times = cut_over_under_load(stack, rate, "switch")
        assert_nothing_was_lost(report, times)
        assert shas[-1] in report.releases
        assert_compose_up_changes_nothing(stack)

    status = stack.status()
    assert status["colours"][status["live"]]["release"]["sha"] == shas[-1]
    assert status["last_good"]["sha"] == shas[-2]

    report, times = cut_over_under_load(stack, rate, "rollback")
    assert_nothing_was_lost(report, times)
    status = stack.status()
    assert status["colours"][status["live"]]["release"]["sha"] == shas[-2]
    assert status["in_progress"] is None
    assert status["lock"] is None
    assert_compose_up_changes_nothing(stack)


def assert_compose_up_changes_nothing(stack: Stack) -> None:
    before = stack.containers()
    stack.compose("up", "-d")
    assert stack.containers() == before


def test_a_killed_proxy_restarts_with_the_new_colour(stack: Stack) -> None:
    sha = stack.release("before the proxy dies")
    stack.run("build.cutover", "switch")
    crash(stack.container("proxy"))

    def answers() -> requests.Response | None:
        try:
            return requests.get(f"{stack.url}/livez", timeout=2)
        except requests.RequestException:
            return None

    answer = wait_for("an answer through the proxy", answers)
    assert answer.headers["X-Release"] == sha


BROKEN = [
    ("silent", SILENCE, GateRefusedError, "silent"),
    ("exits", 'CMD ["sh", "-c", "echo no such voice >&2; exit 7"]', CandidateExitedError, "exit code 7"),
    ("never-ready", 'CMD ["sleep", "infinity"]', CandidateStalledError, "did not get ready"),
]


@pytest.mark.parametrize(("name", "dockerfile", "error", "reason"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_bad_candidate_is_refused_and_removed(
    stack: Stack, rate: float, name: str, dockerfile: str, error: Any, reason: str
) -> None:
    reference = derived(stack, name, dockerfile)
    before = stack.status()
    with hammering(stack.url, rate) as load:
        # A short stall timeout only for the candidate that loads nothing: imports take seconds beside live traffic.
        timeouts = {"CUTOVER_STALL_TIMEOUT_S": "5"} if name == "never-ready" else {}
        done = stack.run("build.cutover", "switch", reference, "--unverified", check=False, **timeouts)
    print(done.stderr)
    stack.docker.images.remove(reference, force=True)
    assert done.returncode == error.exit_code
    assert reason in done.stderr
    assert "remedy:" in done.stderr
    assert load.report.failed == [], load.report.summary()
    assert set(load.report.releases) == {before["colours"][before["live"]]["release"]["sha"]}
    assert_only_the_live_colour_exists(stack)
    assert_compose_up_changes_nothing(stack)


def assert_only_the_live_colour_exists(stack: Stack) -> None:
    live = stack.status()["live"]
    assert set(stack.containers()) == {f"{stack.project}-{service}-1" for service in ("proxy", "agent", f"app-{live}")}


def test_the_log_of_a_candidate_that_exits_is_shown(stack: Stack) -> None:
    reference = derived(stack, "exits", BROKEN[1][1])
    done = stack.run("build.cutover", "switch", reference, "--unverified", check=False)
    stack.docker.images.remove(reference, force=True)
    assert "| no such voice" in done.stderr


def test_a_release_without_an_image_is_refused(stack: Stack, rate: float) -> None:
    before = stack.containers()
    with hammering(stack.url, rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > rate)
        done = stack.run("build.cutover", "switch", "0123456789abcdef0123456789abcdef01234567", check=False)
    assert load.report.failed == [], load.report.summary()
    assert stack.containers() == before
    assert done.returncode == ImageNotFoundError.exit_code
    assert "there is no image for 0123456" in done.stderr


def test_of_two_concurrent_switches_one_runs_and_the_other_names_the_lock_holder(stack: Stack) -> None:
    sha = stack.release("two at once")
    first = stack.start("build.cutover", "switch")
    wait_for("the lock", lambda: stack.status()["lock"])
    second = stack.run("build.cutover", "switch", check=False)
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    assert second.returncode == LockHeldError.exit_code
    assert f"(pid {first.pid})" in second.stderr
    status = stack.status()
    assert status["colours"][status["live"]]["release"]["sha"] == sha


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_cutover_rolls_back_and_releases_its_lock(stack: Stack, stop: signal.Signals) -> None:
    stack.release(f"stopped by {stop.name}")
    before = stack.status()
    with stack.start("build.cutover", "switch") as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if "==> gate" in line:
                process.send_signal(stop)
    assert process.returncode == InterruptedByUserError.exit_code, "".join(lines)
    status = stack.status()
    assert (status["in_progress"], status["lock"]) == (None, None)
    assert status["live"] == before["live"]
    assert status["colours"][status["live"]] == before["colours"][status["live"]]
    newest = stack.journal()[-1]
    assert (newest["event"], newest["state"]) == ("end", "failed")
    idle = "green" if status["live"] == "blue" else "blue"
    assert f"{stack.project}-app-{idle}-1" not in stack.containers()


def test_the_next_cutover_finishes_one_that_was_killed_while_draining(stack: Stack, rate: float) -> None:
    stack.release("its cutover is killed")
    with hammering(stack.url, rate / 2) as load:
        with stack.start("build.cutover", "switch") as killed:
            assert killed.stdout
            for line in killed.stdout:
                if "judged in" in line:
                    for _ in range(LONG):
                        load.ask_long(streamed=False)
                if "draining" in line:
                    killed.kill()
        interrupted = stack.status()
        assert interrupted["in_progress"]["state"] == "switched"
        newest = stack.release("after the killed one")
        done = stack.run("build.cutover", "switch")
    assert "finishing the switch to" in done.stderr
    assert load.report.failed == [], load.report.summary()
    status = stack.status()
    assert status["colours"][status["live"]]["release"]["sha"] == newest
    assert status["last_good"]["sha"] == interrupted["in_progress"]["release"]["sha"]
    assert (status["in_progress"], status["lock"]) == (None, None)
