"""A live release that serves only through its backup servers."""

from __future__ import annotations

from build.model.colours import Colour, Slot
from tests.unit.build.cutover.test_switch import GREEN, switch
from tests.unit.build.fakes import Target


def test_a_live_release_that_serves_as_a_backup_keeps_its_traffic_during_the_next_switch() -> None:
    target = Target()
    servers = target.proxy.servers_now
    target.proxy.set_admins(("blue-1", "maint"), ("blue-1-standby", "ready"))
    target.colours[GREEN].holds = None
    assert target.live(target.survey()) is Colour.BLUE
    start = target.start
    began: list[tuple[str, str]] = []

    def up(slot: Slot) -> None:
        began.append((servers["blue-1"].admin, servers["blue-1-standby"].admin))
        start(slot)

    target.start = up
    switch(target)
    assert began == [("ready", "maint")]
    assert not [
        call for call in target.calls[: target.calls.index("green-1 ready")] if call in {"blue removed", "blue stopped"}
    ]
    assert target.live(target.survey()) is GREEN
