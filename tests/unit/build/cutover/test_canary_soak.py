"""Canary and soak on a target in memory: the actions at each verdict, and a pause without one."""

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
from build.proxy.types import Request
from build.target.synthesis import SynthesisResponse
from tests.unit.build.fakes import NEW, OLD, Report, Target

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SHARES = Rollout(canary=(25, 50))
SOAK = Rollout(soak_s=5)


CLIENT, OWN = "10.0.0.1", "10.0.0.11"


def lines(
    server: str, count: int, took_ms: int = 200, status: int = 200, client: str = CLIENT, path: str = "/v1/audio/speech"
) -> list[str]:
    """Log lines of `count` requests for a synthesis on a server, one minute from now."""
    at = datetime.now(UTC).timestamp() + 60
    stamps = [datetime.fromtimestamp(at + number / 1000, UTC).isoformat() for number in range(count)]
    return [
        f"{stamp.removesuffix('+00:00')}Z {client} {server} 0/0/0/5/{took_ms} {status} 9 -- 1/1 0/0 id "
        f'"POST {path} HTTP/1.1"'
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
    """Call `act` when the intent of a step is journaled."""
    append = target.journal.append

    def journal(**record: Any) -> None:
        append(**record)
        if record.get("event") == "intent" and record.get("step") == step:
            act()

    target.journal.append = journal


def test_a_passed_share_leads_to_the_next_and_the_last_to_the_switch() -> None:
    target, report = busy(), Report()
    assert switch(target, SHARES, report) == NEW
    moved = [call for call in target.calls if "%" in call or call.endswith((" ready", " drain"))]
    assert moved == [
        "blue-1 75%", "green-1 25%", "green-1 ready", "blue-1 50%", "green-1 50%", "green-1 ready",
        "green-1 100%", "green-1 ready", "blue-1 drain", "blue-1 100%",
    ]  # fmt: skip
    assert [share["share"] for share in target.history()[-1].facts["canary"]] == [25, 50]
    assert target.history()[-1].facts["canary"][0]["observed"] == 0.5
    assert target.ended == "retired"
    assert in_rotation(target) == {"green-1": 100}


def test_a_worse_candidate_loses_all_traffic() -> None:
    target = busy(green_ms=900)
    with pytest.raises(CanaryFailedError, match="at 25 % of the traffic: slow"):
        switch(target, SHARES)
    assert target.ended == "rolled-back"
    assert in_rotation(target) == {"blue-1": 100}
    assert target.colours[GREEN].holds is None
    assert target.env[-1] == (BLUE, {})


def test_a_candidate_that_goes_down_fails_the_canary_at_once() -> None:
    target = Target()

    def dies() -> None:
        target.proxy.set_admins = lambda *_changes: target.proxy.servers_now.update(  # type: ignore[method-assign]
            {"green-1": replace(target.proxy.servers_now["green-1"], up=False, check="L4CON")}
        )

    at_intent(target, "canary", dies)
    with pytest.raises(CanaryFailedError, match=r"marked green-1 down \(last check: L4CON\)"):
        switch(target, SHARES)


def test_an_inconclusive_canary_pauses_and_resume_continues_with_its_share() -> None:
    target = busy()
    passed = list(target.log)
    append = target.journal.append

    def lose_log_after_share(**record: Any) -> None:
        append(**record)
        if record["event"] == "share":
            target.log.clear()

    target.journal.append = lose_log_after_share
    target.settings = target.settings.model_copy(update={"canary_timeout_s": 3})
    with pytest.raises(InconclusiveError, match=r"at 50 % has no result after 4 s"):
        switch(target, SHARES)
    paused = target.history()[-1]
    assert (paused.ended, paused.step, paused.state) == ("", "canary", "admitted")
    assert "no result" in paused.paused
    assert in_rotation(target) == {"blue-1": 50, "green-1": 50}

    target.calls.clear()
    target.log = passed
    target.journal.append = append
    assert cutover.resume(cast(Any, target), Report()) == NEW
    assert "green-1 25%" not in target.calls
    assert [share["share"] for share in target.history()[-1].facts["canary"]] == [25, 50]
    assert target.history()[-1].paused == ""
    assert target.ended == "retired"


def test_a_failed_measurement_is_inconclusive() -> None:
    target = Target()

    def unreadable(*_range: Any) -> list[Request]:
        raise CommandFailedError("the log is gone")

    target.proxy.requests = unreadable
    with pytest.raises(InconclusiveError, match="the measurement failed: the log is gone"):
        switch(target, SHARES)
    assert cutover.abort(cast(Any, target), Report()) == OLD
    assert in_rotation(target) == {"blue-1": 100}


def test_without_client_traffic_both_colours_get_golden_texts_and_silence_fails() -> None:
    target = Target()
    calls, candidate = target.calls, target.colours[GREEN]
    speak = candidate.speak_through

    def logged(proxy: str, server: str, *request: Any) -> SynthesisResponse:
        target.log += lines(server, 1, client=OWN)
        candidate.audible = server == "blue-1"
        return speak(proxy, server, *request)

    candidate.speak_through = logged  # type: ignore[method-assign,assignment]
    with pytest.raises(CanaryFailedError, match="failed"):
        switch(target, Rollout(canary=(50,)))
    blue, green = (calls.count(f"synthesis on {server} through proxy:8080") for server in ("blue-1", "green-1"))
    assert blue == green > 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 307])
@pytest.mark.parametrize("rollout", [SHARES, SOAK])
def test_a_release_that_refuses_every_client_does_not_pass(status: int, rollout: Rollout) -> None:
    target = Target()
    own = [line for server in ("blue-1", "green-1") for line in lines(server, 30, client=OWN)]
    target.log = lines("blue-1", 30) + lines("green-1", 30, status=status) + own
    with pytest.raises(CanaryFailedError, match=f"30 of 30 requests of clients got {_class(status)}; live: 0 of 30"):
        switch(target, rollout)
    assert target.ended == "rolled-back"
    assert in_rotation(target) == {"blue-1": 100}
    measured = target.history()[-1].facts["failed_share" if rollout is SHARES else "soak"]
    assert measured["candidate"]["answers"] == {_class(status): 30}
    assert measured["live"]["answers"] == {"2xx": 30}


def _class(status: int) -> str:
    return {403: "4xx", 422: "400", 307: "3xx"}.get(status, str(status))


def test_limits_are_not_compared_while_the_candidate_gets_more_requests() -> None:
    target = Target()
    limited = lines("green-1", 30) + lines("green-1", 30, status=429)
    target.log = lines("blue-1", 30) + limited
    with pytest.raises(CanaryFailedError, match="got 429"):
        switch(target, Rollout(canary=(50,)))
    target = Target()
    target.log = lines("blue-1", 30) + limited
    assert switch(target, Rollout(canary=(75,))) == NEW


def test_a_first_release_has_no_canary_and_no_soak() -> None:
    target = Target()
    target.colours[BLUE].holds = None
    target.proxy.set_admin("blue-1", "maint")
    switch(target, replace(SHARES, soak_s=5))
    assert [record["step"] for record in target.records if record["event"] == "done"] == [
        "preflight", "start", "warm", "verify", "admit", "switch", "retire",
    ]  # fmt: skip
