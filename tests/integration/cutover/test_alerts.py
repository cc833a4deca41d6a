"""Alerts of failed cutovers in a real Alertmanager, resolved by the next good one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from build.errors import CandidateExitedError, ProxyError
from build.notify.alert import NAME
from harness.alertmanager import Alertmanager, running_alertmanager
from harness.releases import derived
from harness.stack import Stack, hooks, wait_for

EXITS = 'CMD ["sh", "-c", "echo no such voice >&2; exit 7"]'


@pytest.fixture(scope="module")
def manager(stack: Stack) -> Iterator[Alertmanager]:
    with running_alertmanager(stack) as manager:
        manager.post(alertname=NAME, project="another", severity="warning")
        yield manager


def ours(stack: Stack, manager: Alertmanager) -> list[dict[str, Any]]:
    """Return the firing alerts of this project; the other project's alert must not change."""
    found = manager.alerts()
    assert [alert["labels"]["severity"] for alert in found if alert["labels"]["project"] == "another"] == ["warning"]
    return [alert for alert in found if alert["labels"]["project"] == stack.project]


def newest(stack: Stack) -> dict[str, Any]:
    """Return the newest record of the journal."""
    return stack.journal()[-1]


def test_a_failed_cutover_raises_an_alert_and_the_next_good_one_resolves_it(
    stack: Stack, manager: Alertmanager
) -> None:
    reference = derived(stack, "gone", EXITS)
    done = stack.run(
        "build.cutover", "switch", reference, "--unverified", check=False, CUTOVER_ALERTMANAGER=manager.url
    )
    stack.docker.images.remove(reference, force=True)
    assert done.returncode == CandidateExitedError.exit_code, done.stderr
    (alert,) = ours(stack, manager)
    labels = {"alertname": NAME, "project": stack.project, "release": "gone", "severity": "warning"}
    assert alert["labels"] == labels
    annotations = alert["annotations"]
    assert annotations["cutover"] == newest(stack)["cutover"]
    assert annotations["summary"].startswith("switch to gone ended as failed: ")
    assert f"code {CandidateExitedError.exit_code}" in annotations["runbook"]
    ends = datetime.fromisoformat(alert["endsAt"])
    assert ends > datetime.now(UTC) + timedelta(days=6), "the alert does not expire by itself"

    stack.release("after the alert")
    stack.run("build.cutover", "switch", CUTOVER_ALERTMANAGER=manager.url)
    assert ours(stack, manager) == []


def test_a_failed_rollback_raises_a_critical_alert_until_one_succeeds(stack: Stack, manager: Alertmanager) -> None:
    before, last_good = stack.status()["live"], stack.status()["last_good"]["sha"]
    proxy = stack.container("proxy")
    command = ("build.cutover", "rollback", "--strategy", "overlap")
    with hooks(stack, f'pre-switch = ["docker", "kill", "{proxy.name}"]'):
        done = stack.run(*command, check=False, CUTOVER_ALERTMANAGER=manager.url)
    assert done.returncode == ProxyError.exit_code, done.stderr
    assert newest(stack)["state"] == "held"
    (alert,) = ours(stack, manager)
    assert (alert["labels"]["severity"], alert["labels"]["release"]) == ("critical", last_good)
    assert alert["annotations"]["summary"].startswith(f"rollback to {last_good[:12]} ended as held: ")
    assert f"code {ProxyError.exit_code}" in alert["annotations"]["runbook"]

    proxy.start()
    wait_for("the live colour behind the proxy", lambda: stack.status()["colours"][before]["usable"])
    assert stack.status()["live"] == before, "traffic has not moved"
    stack.run(*command, CUTOVER_ALERTMANAGER=manager.url)
    assert ours(stack, manager) == []
    status = stack.status()
    assert status["colours"][status["live"]]["release"]["sha"] == last_good
