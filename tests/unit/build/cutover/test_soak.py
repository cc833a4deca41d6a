"""The soak on a target in memory: the old colour as a backup, and what ends a soak."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from build.errors import CanaryFailedError
from tests.unit.build.cutover.test_canary_soak import (
    GREEN,
    SOAK,
    at_intent,
    busy,
    in_rotation,
    lines,
    switch,
)
from tests.unit.build.fakes import NEW, Target


def test_a_soak_without_history_fails_if_most_clients_are_refused() -> None:
    target = Target()
    target.log = lines("green-1", 5, status=400)
    with pytest.raises(CanaryFailedError, match="5 of 5 requests of clients got 400; live: 0 of 0"):
        switch(target, SOAK)
    target = Target()
    target.log = lines("green-1", 4, status=400)
    assert switch(target, SOAK) == NEW


def test_the_old_colour_is_a_backup_during_the_soak_and_then_retires() -> None:
    target = busy()
    assert switch(target, SOAK) == NEW
    assert "blue-1-standby ready" in target.calls
    assert target.calls.index("blue-1-standby maint") > target.calls.index("blue-1 drain")
    assert target.history()[-1].facts["soak"]["candidate"]["sent"] == 30
    assert in_rotation(target) == {"green-1": 100}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"up": False, "check": "L4CON"}, "marked green-1 down"),
        ({"check": "L7TOUT", "failed_checks": 1}, "health check of green-1 failed: L7TOUT"),
    ],
)
def test_a_candidate_that_fails_in_its_soak_loses_all_traffic_at_once(state: dict[str, Any], reason: str) -> None:
    target = busy()
    read = target.proxy.servers
    down = iter([False, False])

    def servers() -> Any:
        found = read()
        soaking = found["blue-1-standby"].admin == "ready"
        # The observer compares with its first read.
        if soaking and next(down, True):
            found["green-1"] = replace(found["green-1"], **state)
        return found

    target.proxy.servers = servers  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError, match=reason):
        switch(target, SOAK)
    after = target.calls[target.calls.index("blue-1-standby ready") + 1 :]
    assert [call for call in after if "blue-1" in call or "shutdown" in call] == [
        "blue-1 drain", "blue-1 probed", "blue-1 ready", "blue-1-standby maint", "green-1 shutdown",
    ]  # fmt: skip
    assert "green stopped" not in after
    assert target.ended == "rolled-back"


def test_sessions_of_a_dead_candidate_close_after_the_proxy_has_retried() -> None:
    target = busy()
    read, tries = target.proxy.servers, iter([False, False])
    down_at: list[float] = []
    shutdown_at: list[float] = []
    close = target.proxy.shutdown_sessions

    def servers() -> Any:
        found = read()
        soaking = found["blue-1-standby"].admin == "ready" or bool(down_at)
        if soaking and next(tries, True):
            down_at.append(target.clock.time)
            pending = int(target.clock.time < down_at[0] + 1)
            found["green-1"] = replace(found["green-1"], up=False, check="HANA", sessions=pending)
        return found

    def shutdown(*names: str) -> None:
        shutdown_at.append(target.clock.time)
        close(*names)

    target.proxy.servers = servers  # type: ignore[method-assign]
    target.proxy.shutdown_sessions = shutdown  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError):
        switch(target, SOAK)
    assert shutdown_at[0] >= down_at[0] + 1
    assert target.ended == "rolled-back"


def test_a_soak_does_not_end_while_a_health_check_is_pending() -> None:
    target = busy()
    read, ends_at = target.proxy.servers, 2 * SOAK.soak_s

    def servers() -> Any:
        found = read()
        if found["blue-1-standby"].admin == "ready":
            hung = {"checking": True} if target.clock.time < ends_at else {"check": "L7TOUT", "failed_checks": 1}
            found["green-1"] = replace(found["green-1"], **hung)
        return found

    target.proxy.servers = servers  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError, match="health check of green-1 failed: L7TOUT"):
        switch(target, SOAK)
    assert target.clock.time >= ends_at
    assert target.ended == "rolled-back"


def test_a_slow_soak_fails_only_if_the_candidate_is_slower_side_by_side() -> None:
    assert switch(busy(green_ms=900), SOAK) == NEW  # both are equally fast side by side: the machine was busy

    target = busy(green_ms=900)
    candidate = target.colours[GREEN]
    speak = candidate.speak

    def slows_down() -> None:
        candidate.speak = lambda *request: replace(speak(*request), took_s=0.9)  # type: ignore[method-assign]

    at_intent(target, "soak", slows_down)
    with pytest.raises(CanaryFailedError, match="with all the traffic: slow"):
        switch(target, SOAK)
    assert target.ended == "rolled-back"


def test_a_candidate_that_may_hang_gets_no_side_by_side_synthesis() -> None:
    target = busy(green_ms=900)
    read, candidate = target.proxy.servers, target.colours[GREEN]
    timeout_s = 2 * SOAK.soak_s

    def hangs() -> None:
        began = target.clock.time

        def servers() -> Any:
            hung = (
                {"checking": True} if target.clock.time < began + timeout_s else {"check": "L7TOUT", "failed_checks": 1}
            )
            found = read()
            return {**found, "green-1": replace(found["green-1"], **hung)}

        target.proxy.servers = servers  # type: ignore[method-assign]
        candidate.texts.clear()

    at_intent(target, "soak", hangs)
    with pytest.raises(CanaryFailedError, match="health check of green-1 failed: L7TOUT"):
        switch(target, SOAK)
    assert candidate.texts == []
