"""Outside cutovers: a sick live release is replaced by its standby, once, and the journal says so."""

from __future__ import annotations

from typing import Any

import pytest

from agent.alerts import UNHEALTHY_LASTS
from agent.guardian import BLIND_S, LOOK_S, RETRY_S
from agent.lock import EXPIRY_S
from agent.rescue import LOAD_S
from agent.watch import ALERT_EVERY, MOST_FAILURES
from build.model.release import Release
from build.state import history
from tests.unit.agent.test_dead_man import OWNER
from tests.unit.agent.world import Container, World

LOOKS_S = 5 * (MOST_FAILURES + 1)


@pytest.fixture
def world(world: World) -> World:
    """A cutover from blue to green has ended; blue stands by, loaded."""
    world.containers["green"] = Container("new", proven=True)
    world.proxy.admin = {"blue-1": "maint", "green-1": "ready"}
    ended(world, "first", "old", "new", "blue")  # the two releases take turns
    ended(world, "second", "new", "old", "green")
    world.guard(5)  # the agent has seen it healthy
    return world


def ended(world: World, identity: str, release: str, previous: str | None, colour: str, state: str = "retired") -> None:
    epoch = world.ask("lock acquire", owner=OWNER)["epoch"]

    def write(event: str, **fields: Any) -> None:
        world.ask("journal append", epoch=epoch, record={"event": event, "cutover": identity, **fields})

    write(
        "begin", kind="switch", strategy="overlap", colour=colour, release={"sha": release, "image": release},
        previous={"sha": previous, "image": previous} if previous else None,
    )  # fmt: skip
    write("end", state=state)
    world.ask("lock release", epoch=epoch)


def begun(world: World, identity: str, release: str, previous: str, colour: str, *events: dict[str, str]) -> None:
    """Begin a cutover whose orchestrator has released the lock."""
    epoch = world.ask("lock acquire", owner=OWNER)["epoch"]
    begin = {
        "event": "begin", "kind": "switch", "strategy": "overlap", "colour": colour,
        "release": {"sha": release, "image": release}, "previous": {"sha": previous, "image": previous},
    }  # fmt: skip
    records: list[dict[str, Any]] = [begin, *events]
    for record in records:
        world.ask("journal append", epoch=epoch, record={"cutover": identity, **record})
    world.ask("lock release", epoch=epoch)


def live(world: World) -> Container:
    (colour,) = world.proxy.serving()
    container = world.containers[colour]
    assert container
    return container


def test_a_healthy_release_is_left_alone(world: World) -> None:
    world.guard(100)
    assert (live(world).release, world.alerts) == ("new", [])


def test_a_short_illness_is_left_alone(world: World) -> None:
    for _ in range(5):
        live(world).hangs = True
        world.guard(5 * (MOST_FAILURES - 1))
        live(world).hangs = False
        world.guard(10)
    assert (live(world).release, world.alerts) == ("new", [])


def test_the_standby_replaces_a_sick_release(world: World) -> None:
    live(world).hangs = True
    world.guard(LOOKS_S)
    assert world.proxy.admin == {"blue-1": "ready", "green-1": "maint"}
    (alert,) = world.alerts
    assert "green was sick" in alert
    past = history.read(world.records())
    old, new = Release("old", "old"), Release("new", "new")
    assert history.recorded(past) == old
    assert history.in_progress(past) is None
    assert history.last_good(past, old) is None, "a release that was sick is in doubt"
    assert past[-1].release == new
    assert not past[-1].served
    assert "sick" in past[-1].error


def test_the_standby_is_used_once_until_an_operator_acts(world: World) -> None:
    live(world).hangs = True
    world.guard(LOOKS_S)
    other = world.containers["green"]
    assert other
    other.hangs, live(world).hangs = False, True
    world.guard(LOOKS_S)
    assert live(world).release == "old"
    assert len(world.alerts) == 2, "the second illness alerts and moves nothing"
    ended(world, "third", "new", "old", "green")
    world.proxy.admin = {"blue-1": "maint", "green-1": "ready"}
    world.containers["blue"] = Container("old", proven=True)
    live(world).hangs = True
    world.guard(LOOKS_S)
    assert live(world).release == "old"


@pytest.mark.parametrize("why", ["unloaded", "another release", "gone"])
def test_without_a_proven_loaded_standby_the_watch_only_alerts(world: World, why: str) -> None:
    world.containers["blue"] = {
        "unloaded": Container("old", "unloaded", proven=True), "another release": Container("tried"), "gone": None,
    }[why]  # fmt: skip
    live(world).hangs = True
    world.guard(LOOKS_S)
    assert live(world).release == "new"
    assert world.alerts == ["green is live and sick, and no standby can serve (new)"]


def test_a_standby_that_loads_late_still_helps(world: World) -> None:
    standby = world.containers["blue"]
    assert standby
    standby.phase = "unloaded"
    live(world).hangs = True
    world.guard(LOOKS_S)
    standby.phase = "ready"
    world.guard(10)
    assert live(world).release == "old"


def test_a_failed_cutover_leaves_the_standby_usable(world: World) -> None:
    ended(world, "third", "next", "new", "blue", state="failed")
    live(world).hangs = True
    world.guard(LOOKS_S)
    assert live(world).release == "old"
    assert history.recorded(history.read(world.records())) == Release("old", "old")


def test_a_cutover_is_never_fought(world: World) -> None:
    live(world).hangs = True
    epoch = world.ask("lock acquire", owner=OWNER)["epoch"]
    for _ in range(10):
        world.guard(10)
        assert world.ask("lock beat", epoch=epoch)["ok"]
    assert live(world).release == "new"
    world.ask("lock release", epoch=epoch)
    world.guard(5 * (MOST_FAILURES - 1))
    assert live(world).release == "new", "the count begins anew after a cutover"


def test_the_move_voids_what_an_older_owner_still_sends(world: World) -> None:
    live(world).hangs = True
    world.guard(LOOKS_S)
    world.sleep(1)
    assert not live(world).control("unload", 2)


def test_a_proxy_that_is_away_is_one_alert_and_no_end(world: World) -> None:
    world.proxy.away = True
    world.guard(60)
    assert len(world.alerts) == 1
    world.proxy.away = False
    live(world).hangs = True
    world.guard(LOOKS_S)
    assert live(world).release == "old"


def test_the_alert_is_repeated_while_it_lasts_and_then_resolved(world: World) -> None:
    """Its receiver takes an alert that is not repeated for resolved, so an agent that restarts leaves none behind."""
    world.containers["blue"] = None
    live(world).hangs = True
    world.guard(5 * (MOST_FAILURES + ALERT_EVERY + 1))
    live(world).hangs = False
    world.guard(60)
    sick = "green is live and sick, and no standby can serve (new)"
    assert world.alerts == [sick, sick, "healthy (new)"]
    assert UNHEALTHY_LASTS.total_seconds() > 2 * LOOK_S * ALERT_EVERY


def test_a_target_without_a_colour_in_rotation_is_an_alert(world: World) -> None:
    world.proxy.admin = {"blue-1": "maint", "green-1": "maint"}
    world.guard(LOOKS_S)
    assert world.alerts == ["no colour is in rotation, so no request is served ()"]


@pytest.mark.parametrize("colours", [["green"], ["blue", "green"]])
def test_a_paused_cutover_is_watched_and_left_to_its_operator(world: World, colours: list[str]) -> None:
    begun(world, "third", "old", "new", "blue", {"event": "paused"})
    world.proxy.admin = {f"{colour}-1": "ready" if colour in colours else "maint" for colour in ("blue", "green")}
    before = dict(world.proxy.admin)
    world.guard(LOOKS_S)
    assert world.alerts == []
    for colour in colours:
        container = world.containers[colour]
        assert container
        container.hangs = True
    world.guard(LOOKS_S)
    assert len(world.alerts) == 1
    assert world.proxy.admin == before


@pytest.mark.parametrize("cause", ["full", "damaged"])
@pytest.mark.parametrize("owner", ["silent", "alive"])
def test_a_target_that_cannot_record_still_opens_the_gate(world: World, cause: str, owner: str) -> None:
    """Requests would wait at the gate for as long as nobody mends the disk."""
    epoch = world.ask("lock acquire", owner=OWNER)["epoch"]
    world.ask("proxy change", epoch=epoch, commands=["hold all"])
    if cause == "full":
        (world.path / "lock.json.new").mkdir()  # every write of the lock fails
        world.full = True
    else:
        journal = world.path / "journal.jsonl"
        journal.write_text(journal.read_text().replace("second", "forged"))
    for _ in range(int(2 * EXPIRY_S / LOOK_S)):
        world.guard(LOOK_S)
        if owner == "alive":
            assert world.ask("lock beat", epoch=epoch)["ok"]
    assert world.proxy.hold == ("none" if owner == "silent" else "all")
    opened = [alert for alert in world.alerts if "opened the gate" in alert]
    assert len(opened) == (owner == "silent")


def test_an_act_that_fails_is_not_tried_at_every_tick(world: World) -> None:
    world.ask("lock acquire", owner=OWNER)
    world.guard(EXPIRY_S)
    world.proxy.away = True
    before = world.ask("lock show")["epoch"]
    world.guard(60)
    assert world.ask("lock show")["epoch"] - before <= 60 / RETRY_S


def test_a_short_absence_of_the_proxy_is_no_alert(world: World) -> None:
    for _ in range(3):
        world.proxy.away = True
        world.guard(BLIND_S - LOOK_S)
        world.proxy.away = False
        world.guard(LOOK_S)
    assert world.alerts == []


@pytest.mark.parametrize("comes", [True, False])
def test_a_stack_that_starts_may_load_its_model(world: World, comes: bool) -> None:
    """After a reboot the standby may be ready first, which says nothing about the live release."""
    live(world).phase = "loading"
    world.restart_agent()
    world.guard(LOAD_S - 1)
    assert (live(world).release, world.alerts) == ("new", [])
    if comes:
        live(world).phase = "ready"
    world.guard(LOOKS_S)
    assert live(world).release == ("new" if comes else "old")


def test_a_stack_before_its_first_release_is_not_sick() -> None:
    world = World()
    world.containers["blue"] = None
    world.guard(10 * LOOKS_S)
    assert world.alerts == []
    world.close()
