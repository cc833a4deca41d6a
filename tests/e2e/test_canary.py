"""Canary and soak under load: pass, rollback without a lost request, or pause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from build.errors import CanaryFailedError, InconclusiveError
from harness import soak_faults
from harness.load import Load, hammering
from harness.releases import FAILING, REFUSING, SLOW, derived
from harness.stack import Stack, wait_for

pytestmark = pytest.mark.alone

FEW = "8"  # syntheses of each release
RATE = 4.0


@pytest.fixture(autouse=True)
def _short_gates(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stack.env, "CUTOVER_GATE_SYNTHESES", "1")


@contextmanager
def speaking(stack: Stack) -> Iterator[Load]:
    """Send requests to the stack before, during and after the block."""
    with hammering(stack.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        yield load
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + RATE)


def newest(stack: Stack) -> dict[str, Any]:
    """Return the newest cutover's journal records by event and step."""
    records = stack.journal()
    mine = [record for record in records if record.get("cutover") == records[-1]["cutover"]]
    return {f"{record['event']} {record.get('step', '')}".strip(): record for record in mine}


def live_sha(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


def test_a_good_candidate_gets_all_shares_and_then_all_traffic(stack: Stack) -> None:
    sha = stack.release("a good canary")
    with speaking(stack) as load:
        done = stack.run("build.cutover", "switch", "--canary", "25,50,100", "--soak", "5", CUTOVER_CANARY_SAMPLES=FEW)
    print(done.stderr, load.report.summary())
    assert load.report.failed == [], load.report.summary()
    assert live_sha(stack) == sha
    shares = [record["facts"] for record in stack.journal() if record["event"] == "share"][-2:]
    assert [share["share"] for share in shares] == [25, 50]
    for share in shares:
        assert share["candidate"]["sent"] >= 8
        assert share["candidate"]["failed"] == share["live"]["failed"] == 0
        assert set(share["candidate"]["answers"]) == set(share["live"]["answers"]) == {"2xx"}
        assert share["live"]["p50_s"] > 0
        assert 0 < share["observed"] < 1
    soaked = newest(stack)["done soak"]["facts"]["soak"]
    assert soaked["candidate"]["sent"] > 0
    assert {server["admin"] for server in stack.status()["colours"].values()} == {"ready", "maint"}


@pytest.mark.parametrize(
    ("name", "dockerfile", "reason", "most_failed"),
    [("failing", FAILING, "failed", 20), ("slow", SLOW, "slow", 0), ("refusing", REFUSING, "clients got 400", 40)],
)
def test_a_candidate_that_fails_only_on_client_traffic_is_rolled_back(
    stack: Stack, name: str, dockerfile: str, reason: str, most_failed: int
) -> None:
    before, reference = live_sha(stack), derived(stack, name, dockerfile)
    with speaking(stack) as load:
        done = stack.run(
            "build.cutover",
            "switch",
            reference,
            "--unverified",
            "--canary",
            "50",
            check=False,
            CUTOVER_CANARY_SAMPLES=FEW,
        )
    print(done.stderr, load.report.summary())
    assert done.returncode == CanaryFailedError.exit_code
    assert reason in done.stderr
    assert newest(stack)["end"]["state"] == "rolled-back"
    assert live_sha(stack) == before
    # Some requests must fail before the canary notices: the candidate gets half of those of two or three samples.
    assert len(load.report.failed) <= most_failed, load.report.summary()
    assert load.report.samples[-1].release == before


def test_a_candidate_that_refuses_every_client_does_not_pass_its_soak(stack: Stack) -> None:
    before, reference = live_sha(stack), derived(stack, "refusing", REFUSING)
    with speaking(stack) as load:
        done = stack.run("build.cutover", "switch", reference, "--unverified", "--soak", "30", check=False)
    print(done.stderr, load.report.summary())
    assert done.returncode == CanaryFailedError.exit_code
    assert "clients got 400" in done.stderr
    assert newest(stack)["end"]["state"] == "rolled-back"
    assert live_sha(stack) == before
    assert load.report.samples[-1].release == before


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_a_candidate_that_dies_in_its_soak_costs_no_request(stack: Stack, fault: str) -> None:
    before, sha = live_sha(stack), stack.release(f"{fault} in its soak")
    with speaking(stack) as load:
        struck = soak_faults.in_soak(stack, load, sha, fault)
    print(struck.output, load.report.summary())
    assert struck.exit_code == CanaryFailedError.exit_code
    assert live_sha(stack) == before
    assert newest(stack)["end"]["state"] == "rolled-back"
    assert load.report.failed == [], load.report.summary()
    assert set(load.report.releases) == {before, sha}
    assert load.report.samples[-1].release == before


def test_without_clients_the_canary_uses_requests_of_the_cutover(stack: Stack) -> None:
    sha = stack.release("a canary at night")
    stack.run("build.cutover", "switch", "--canary", "50", CUTOVER_CANARY_SAMPLES=FEW)
    assert live_sha(stack) == sha
    candidate = newest(stack)["share"]["facts"]["candidate"]
    assert candidate["own"] >= 8
    assert candidate["answers"] == {}
    assert newest(stack)["share"]["facts"]["observed"] == 0


def test_an_inconclusive_canary_pauses_and_can_be_resumed(stack: Stack) -> None:
    before, sha = live_sha(stack), stack.release("an undecided canary")
    with speaking(stack) as load:
        done = stack.run(
            "build.cutover",
            "switch",
            "--canary",
            "25,50",
            check=False,
            CUTOVER_CANARY_SAMPLES="9999",
            CUTOVER_CANARY_TIMEOUT_S="3",
        )
        assert done.returncode == InconclusiveError.exit_code, done.stderr
        assert "no result" in done.stderr
        wait_for("both to serve", lambda: {before, sha} <= {sample.release for sample in load.report.samples[-40:]})
        status = stack.status()
        assert status["colours"][status["live"]]["release"]["sha"] == before
        assert "resume" in " ".join(status["warnings"])
        containers = stack.containers()
        stack.compose("up", "-d")
        assert stack.containers() == containers
        stack.run("build.cutover", "resume", CUTOVER_CANARY_SAMPLES=FEW)
    print(load.report.summary())
    assert load.report.failed == [], load.report.summary()
    assert live_sha(stack) == sha


def test_an_inconclusive_canary_can_be_aborted(stack: Stack) -> None:
    before = live_sha(stack)
    stack.release("an unwanted canary")
    with speaking(stack) as load:
        stack.run(
            "build.cutover",
            "switch",
            "--canary",
            "25",
            check=False,
            CUTOVER_CANARY_SAMPLES="9999",
            CUTOVER_CANARY_TIMEOUT_S="3",
        )
        stack.run("build.cutover", "abort")
    assert load.report.failed == [], load.report.summary()
    assert live_sha(stack) == before
    assert newest(stack)["end"]["state"] == "rolled-back"
