"""Canary and soak on a target in memory: what is done at each verdict, and what is left when there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import CanaryFailedError, CommandFailedError, InconclusiveError
from build.model.colours import Colour
from build.model.release import Release
from build.model.rollout import Rollout
from build.target.synthesis import SynthesisResponse
from tests.unit.build.fakes import NEW, OLD, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SHARES = Rollout(canary=(25, 50))
SOAK = Rollout(soak_s=5)


def lines(server: str, count: int, took_ms: int = 200) -> list[str]:
    """So many syntheses by a server, logged a moment from now."""
    at = datetime.now(UTC).timestamp() + 60
    stamps = [datetime.fromtimestamp(at + number / 1000, UTC).isoformat() for number in range(count)]
    return [
        f'{stamp.removesuffix("+00:00")}Z 10.0.0.1 {server} 0/0/0/5/{took_ms} 200 9 -- 1/1 0/0 id "POST /v1/audio"'
        for stamp in stamps
    ]


def busy(green_ms: int = 200) -> Target:
    target = Target()
    target.log = lines("blue-1", 30) + lines("green-1", 30, green_ms)
    return target


def switch(target: Target, rollout: Rollout, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "switch", lambda _history, _live: NEW, rollout=rollout)


def in_rotation(target: Target) -> dict[str, int]:
    return {name: server.weight for name, server in target.proxy.servers_now.items() if server.admin == "ready"}


def at_intent(target: Target, step: str, act: Callable[[], None]) -> None:
    """Does something when a step is begun."""
    append = target.journal.append

    def appends(**record: Any) -> None:
        append(**record)
        if record.get("event") == "intent" and record.get("step") == step:
            act()

    target.journal.append = appends


def test_shares_rise_when_each_has_passed_and_end_in_the_switch() -> None:
    target, report = busy(), Report()
    assert switch(target, SHARES, report) == NEW
    said = [call for call in target.said if "%" in call or call.endswith((" ready", " drain"))]
    assert said == [
        "blue-1 75%", "green-1 25%", "green-1 ready", "blue-1 50%", "green-1 50%", "green-1 ready",
        "green-1 100%", "green-1 ready", "blue-1 drain", "blue-1 100%",
    ]  # fmt: skip
    assert [share["share"] for share in target.history()[-1].facts["canary"]] == [25, 50]
    assert target.history()[-1].facts["canary"][0]["observed"] == 0.5
    assert target.ended == "retired"
    assert in_rotation(target) == {"green-1": 100}


def test_a_candidate_that_is_worse_gives_everything_back() -> None:
    target = busy(green_ms=900)
    with pytest.raises(CanaryFailedError, match=r"at 25 % of the traffic .* slow"):
        switch(target, SHARES)
    assert target.ended == "rolled-back"
    assert in_rotation(target) == {"blue-1": 100}
    assert target.colours[GREEN].holds is None
    assert target.env[-1] == (BLUE, {})


def test_a_candidate_that_the_proxy_sees_down_is_not_waited_for() -> None:
    target = Target()

    def dies() -> None:
        target.proxy.set_admins = lambda *_changes: target.proxy.servers_now.update(  # type: ignore[method-assign]
            {"green-1": replace(target.proxy.servers_now["green-1"], up=False, check="L4CON")}
        )

    at_intent(target, "canary", dies)
    with pytest.raises(CanaryFailedError, match=r"marked green-1 down \(last check: L4CON\)"):
        switch(target, SHARES)


def test_without_a_verdict_it_stays_and_resume_goes_on_with_the_share_it_had() -> None:
    target = busy()
    passed = list(target.log)
    at_share = target.journal.append

    def appends(**record: Any) -> None:
        at_share(**record)
        if record["event"] == "share":
            target.log.clear()

    target.journal.append = appends
    target.settings = target.settings.model_copy(update={"canary_timeout_s": 3})
    with pytest.raises(InconclusiveError, match=r"at 50 % has no result after 4 s"):
        switch(target, SHARES)
    left = target.history()[-1]
    assert (left.ended, left.step, left.state) == ("", "canary", "admitted")
    assert "no result" in left.paused
    assert in_rotation(target) == {"blue-1": 50, "green-1": 50}

    target.said.clear()
    target.log = passed
    target.journal.append = at_share
    assert cutover.resume(cast(Any, target), Report()) == NEW
    assert "green-1 25%" not in target.said
    assert [share["share"] for share in target.history()[-1].facts["canary"]] == [25, 50]
    assert target.history()[-1].paused == ""
    assert target.ended == "retired"


def test_a_canary_that_cannot_be_measured_is_no_verdict() -> None:
    target = Target()

    def blind(*_of: Any) -> list[str]:
        raise CommandFailedError("the log is gone")

    target.engine.log_between = blind
    with pytest.raises(InconclusiveError, match="cannot be measured: the log is gone"):
        switch(target, SHARES)
    assert cutover.abort(cast(Any, target), Report()) == OLD
    assert in_rotation(target) == {"blue-1": 100}


def test_where_clients_are_silent_both_are_asked_and_silence_is_no_answer() -> None:
    target = Target()
    asked, candidate = target.said, target.colours[GREEN]
    speak = candidate.speak_through

    def logged(proxy: str, server: str, *what: Any) -> SynthesisResponse:
        target.log += lines(server, 1)
        candidate.sound = server == "blue-1"
        return speak(proxy, server, *what)

    candidate.speak_through = logged  # type: ignore[method-assign,assignment]
    with pytest.raises(CanaryFailedError, match="failed"):
        switch(target, Rollout(canary=(50,)))
    assert asked.count("asked blue-1 by proxy:8080") == asked.count("asked green-1 by proxy:8080") > 1


def test_a_soak_keeps_the_old_colour_at_hand_and_ends_in_retiring_it() -> None:
    target = busy()
    assert switch(target, SOAK) == NEW
    assert "blue-1-standby ready" in target.said
    assert target.said.index("blue-1-standby maint") > target.said.index("blue-1 drain")
    assert target.history()[-1].facts["soak"]["candidate"]["sent"] == 30
    assert in_rotation(target) == {"green-1": 100}


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"up": False, "check": "L4CON"}, "marked green-1 down"),
        ({"check": "L7TOUT", "failed_checks": 1}, "health check of green-1 failed: L7TOUT"),
    ],
)
def test_a_candidate_that_fails_in_its_soak_gives_everything_back_at_once(seen: dict[str, Any], why: str) -> None:
    target = busy()
    looks = target.proxy.servers
    down = iter([False, False])

    def servers() -> Any:
        found = looks()
        soaking = found["blue-1-standby"].admin == "ready"
        # The observer's first look is what it compares with.
        if soaking and next(down, True):
            found["green-1"] = replace(found["green-1"], **seen)
        return found

    target.proxy.servers = servers  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError, match=why):
        switch(target, SOAK)
    after = target.said[target.said.index("blue-1-standby ready") + 1 :]
    assert [call for call in after if "blue-1" in call or "shutdown" in call] == [
        "blue-1 drain", "blue-1 ready", "blue-1-standby maint", "green-1 shutdown",
    ]  # fmt: skip
    assert "green stopped" not in after
    assert target.ended == "rolled-back"


def test_what_was_on_its_way_to_a_dead_candidate_is_not_closed_before_the_proxy_asks_elsewhere() -> None:
    target = busy()
    looks, tries = target.proxy.servers, iter([False, False])
    gone_at: list[float] = []
    shutdown_at: list[float] = []
    close = target.proxy.shutdown_sessions

    def servers() -> Any:
        found = looks()
        soaking = found["blue-1-standby"].admin == "ready" or bool(gone_at)
        if soaking and next(tries, True):
            gone_at.append(target.clock.time)
            on_its_way = int(target.clock.time < gone_at[0] + 1)
            found["green-1"] = replace(found["green-1"], up=False, check="HANA", sessions=on_its_way)
        return found

    def shutdown(*names: str) -> None:
        shutdown_at.append(target.clock.time)
        close(*names)

    target.proxy.servers = servers  # type: ignore[method-assign]
    target.proxy.shutdown_sessions = shutdown  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError):
        switch(target, SOAK)
    assert shutdown_at[0] >= gone_at[0] + 1
    assert target.ended == "rolled-back"


def test_a_soak_does_not_end_while_a_health_check_is_waited_for() -> None:
    target = busy()
    looks, ends_at = target.proxy.servers, 2 * SOAK.soak_s

    def servers() -> Any:
        found = looks()
        if found["blue-1-standby"].admin == "ready":
            hung = {"checking": True} if target.clock.time < ends_at else {"check": "L7TOUT", "failed_checks": 1}
            found["green-1"] = replace(found["green-1"], **hung)
        return found

    target.proxy.servers = servers  # type: ignore[method-assign]
    with pytest.raises(CanaryFailedError, match="health check of green-1 failed: L7TOUT"):
        switch(target, SOAK)
    assert target.clock.time >= ends_at
    assert target.ended == "rolled-back"


def test_what_looks_slow_in_a_soak_is_heard_side_by_side_before_it_is_given_up() -> None:
    assert switch(busy(green_ms=900), SOAK) == NEW  # both speak as fast as ever: the machine was busy

    target = busy(green_ms=900)
    candidate = target.colours[GREEN]
    speak = candidate.speak

    def slows_down() -> None:
        candidate.speak = lambda *what: replace(speak(*what), took_s=0.9)  # type: ignore[method-assign]

    at_intent(target, "soak", slows_down)
    with pytest.raises(CanaryFailedError, match=r"with all the traffic .* slow"):
        switch(target, SOAK)
    assert target.ended == "rolled-back"


def test_what_may_hang_is_not_asked_to_speak_side_by_side() -> None:
    target = busy(green_ms=900)
    looks, candidate = target.proxy.servers, target.colours[GREEN]
    patience_s = 2 * SOAK.soak_s

    def hangs() -> None:
        began = target.clock.time

        def servers() -> Any:
            hung = (
                {"checking": True}
                if target.clock.time < began + patience_s
                else {"check": "L7TOUT", "failed_checks": 1}
            )
            found = looks()
            return {**found, "green-1": replace(found["green-1"], **hung)}

        target.proxy.servers = servers  # type: ignore[method-assign]
        candidate.texts.clear()

    at_intent(target, "soak", hangs)
    with pytest.raises(CanaryFailedError, match="health check of green-1 failed: L7TOUT"):
        switch(target, SOAK)
    assert candidate.texts == []


def test_a_way_back_and_a_first_release_have_neither() -> None:
    target = Target()
    target.colours[BLUE].holds = None
    target.proxy.set_admin("blue-1", "maint")
    switch(target, replace(SHARES, soak_s=5))
    assert [record["step"] for record in target.records if record["event"] == "done"] == [
        "preflight", "start", "warm", "verify", "admit", "switch", "retire",
    ]  # fmt: skip
