"""A cutover's patience with its proxy: short failures are sat out, longer ones count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from build.cutover.patient_proxy import PATIENCE_S, PatientProxy
from build.errors import LockLostError, OrchestratorError, ProxyError
from build.model.colours import Colour
from build.proxy.types import Proxy
from tests.unit.build.cutover.test_canary_soak import SHARES, SOAK, at_intent, busy, in_rotation, switch
from tests.unit.build.fake_proxy import PatchedProxy
from tests.unit.build.fakes import NEW, Target

CALLS: list[Callable[[Proxy], object]] = [
    lambda proxy: proxy.servers(),
    lambda proxy: proxy.set_admin("green-1", "ready"),
    lambda proxy: proxy.set_admins(("green-1", "drain"), ("green-1", 50)),
    lambda proxy: proxy.probe(proxy.servers()["blue-1"]),
    lambda proxy: proxy.status_for_client(proxy.servers()["blue-1"], "Hello.", "joe", 5),
    lambda proxy: proxy.demand_check("green-1"),
    lambda proxy: proxy.shutdown_sessions("green-1"),
    lambda proxy: proxy.hold("all"),
    lambda proxy: proxy.release("green-1"),
    lambda proxy: proxy.held(),
]


def failing(target: Target, for_s: float, error: type[OrchestratorError] = ProxyError) -> PatchedProxy:
    until_s = target.clock.time + for_s

    def fails(_name: str) -> None:
        if target.clock.time < until_s:
            raise error("the socket is gone")

    return PatchedProxy(target.proxy, fails)


@pytest.mark.parametrize("call", CALLS)
def test_each_call_outlasts_a_short_failure(call: Callable[[Proxy], object]) -> None:
    target = Target()
    call(PatientProxy(cast(Proxy, failing(target, PATIENCE_S - 1)), cast(Any, target.clock)))
    assert target.clock.time >= PATIENCE_S - 1


@pytest.mark.parametrize("call", CALLS)
def test_a_longer_failure_counts(call: Callable[[Proxy], object]) -> None:
    target = Target()
    with pytest.raises(ProxyError):
        call(PatientProxy(cast(Proxy, failing(target, PATIENCE_S + 5)), cast(Any, target.clock)))


def test_a_lost_lock_is_not_retried() -> None:
    target = Target()
    with pytest.raises(LockLostError):
        PatientProxy(cast(Proxy, failing(target, 5, LockLostError)), cast(Any, target.clock)).servers()
    assert target.clock.time == 0


@pytest.mark.parametrize("step", ["canary", "switch", "soak", "retire"])
def test_a_cutover_outlasts_a_short_failure_of_the_proxy(step: str) -> None:
    target = busy()
    at_intent(target, step, lambda: setattr(target, "proxy", failing(target, 2)))
    assert switch(target, SOAK if step == "soak" else SHARES) == NEW
    assert (target.ended, in_rotation(target)) == ("retired", {"green-1": 100})
    assert target.live(target.survey()) is Colour.GREEN
