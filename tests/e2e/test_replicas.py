"""Several replicas of one release: all must pass the gate, all serve, and all drain together."""

from __future__ import annotations

import pytest

from harness.load import hammering
from harness.releases import derived
from harness.stack import Stack, wait_for

pytestmark = pytest.mark.alone

# The second replica produces silence, except for the warm-up text.
ONE_SILENT = """USER root
RUN cat >>/app/service/engines/piper.py <<'END'


def _plan(self, utterance, plan=PiperEngine.plan):
    import os

    mute = "-2" in os.environ["TTS_ORDERS"] and utterance.text != "Ready to speak."
    return [replace(chunk, payload=(chunk, mute)) for chunk in plan(self, utterance)]


def _silent(self, chunk, *, alone=False, speak=PiperEngine.speak):
    own, mute = chunk.payload
    return speak(self, own, alone=alone) * (0 if mute else 1)


PiperEngine.plan, PiperEngine.speak = _plan, _silent
END
USER 10001:10001"""


def names(stack: Stack) -> set[str]:
    return {name.removeprefix(f"{stack.project}-") for name in stack.containers() if "app" in name}


def totals(stack: Stack, colour: str) -> dict[str, int]:
    """Return the total requests of each server of a colour."""
    code, output = stack.container("proxy").exec_run(["proxyctl", "read", "show stat app 4 -1"])
    assert code == 0, output
    heading, *rows = [line.split(",") for line in output.decode().splitlines() if "," in line]
    name, total = heading.index("svname"), heading.index("stot")
    return {row[name]: int(row[total]) for row in rows if row[name].startswith(colour) and "standby" not in row[name]}


def test_two_replicas_share_the_traffic_and_drain_without_loss(stack: Stack, rate: float) -> None:
    sha = stack.release("twice")
    with hammering(stack.url, rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > rate)
        stack.run("build.cutover", "switch", "--replicas", "2", "--canary", "50", CUTOVER_CANARY_SAMPLES="8")
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + 2 * rate)
        status = stack.status()
        live = status["live"]
        assert status["colours"][live]["release"]["sha"] == sha
        assert status["colours"][live]["replicas"] == 2
        assert {f"app-{live}-1", f"app-{live}-2-1"} <= names(stack)
        requests = totals(stack, live)
        assert min(requests[f"{live}-1"], requests[f"{live}-2"]) > 0
        assert (requests[f"{live}-3"], requests[f"{live}-4"]) == (0, 0)
        before = stack.containers()
        stack.compose("up", "-d")
        assert stack.containers() == before
        stack.release("once again")
        stack.run("build.cutover", "switch")
        stack.run("build.cutover", "rollback")
    print(load.report.summary())
    assert load.report.failed == [], load.report.summary()
    assert stack.status()["colours"][live]["release"]["sha"] == sha
    assert stack.status()["live"] == live
    assert stack.status()["colours"][live]["replicas"] == 2, "both replicas were on standby"


def test_one_bad_replica_of_two_refuses_the_release_and_both_are_removed(stack: Stack) -> None:
    before, reference = stack.containers(), derived(stack, "half-silent", ONE_SILENT)
    idle = "green" if stack.status()["live"] == "blue" else "blue"
    done = stack.run("build.cutover", "switch", reference, "--unverified", "--replicas", "2", check=False)
    assert done.returncode == 17, done.stderr
    assert "silent" in done.stderr
    assert not {name for name in names(stack) if idle in name}
    assert {name: stack.containers()[name] for name in before if idle not in name} == {
        name: found for name, found in before.items() if idle not in name
    }
