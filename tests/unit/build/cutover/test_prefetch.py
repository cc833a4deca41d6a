"""Prefetched answers of the standby release, and when they are ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.cutover.prefetch import FRESH_S, StandbyPrefetch
from build.errors import CommandFailedError, GateRefusedError
from build.model.colours import Colour
from build.model.release import Release
from tests.unit.build.fake_drivers import ColourContainer
from tests.unit.build.fakes import NEW, OLD, Report, Target


@pytest.fixture
def target() -> Target:
    """OLD is on standby in blue and has synthesized nothing since the switch."""
    target = Target()
    cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: NEW)
    for colour in target.colours.values():
        colour.texts.clear()
    return target


def rollback(target: Target, ahead: StandbyPrefetch) -> Release:
    return cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: OLD, ahead=ahead)


def prefetched(target: Target) -> tuple[StandbyPrefetch, ColourContainer]:
    """Wait for the prefetched synthesis of the standby release."""
    ahead, blue = StandbyPrefetch(cast(Any, target), cast(Any, target)), target.colours[Colour.BLUE]
    assert ahead.synthesis(cast(Any, blue))
    assert len(blue.texts) == 1
    return ahead, blue


def test_the_standby_release_is_queried_once_before_the_lock_and_the_live_one_never(target: Target) -> None:
    ahead, blue = prefetched(target)
    assert rollback(target, ahead) == OLD
    assert len(blue.texts) == 1
    assert target.colours[Colour.GREEN].texts == []
    assert target.history()[-1].facts["gate"]["results"], "the prefetched synthesis is judged and journaled"


def restarted(_target: Target, blue: ColourContainer) -> None:
    blue.life = "second"


def waited(target: Target, _blue: ColourContainer) -> None:
    target.clock.time += FRESH_S + 1


@pytest.mark.parametrize("change", [restarted, waited])
def test_an_old_answer_or_one_from_before_a_restart_is_ignored(
    target: Target, change: Callable[[Target, ColourContainer], None]
) -> None:
    ahead, blue = prefetched(target)
    change(target, blue)
    assert rollback(target, ahead) == OLD
    assert len(blue.texts) == 2


def test_a_silent_prefetched_synthesis_moves_no_traffic(target: Target) -> None:
    target.colours[Colour.BLUE].audible = False
    ahead, _ = prefetched(target)
    with pytest.raises(GateRefusedError):
        rollback(target, ahead)
    assert target.live(target.survey()) is Colour.GREEN


def test_a_failed_prefetch_is_repeated_under_the_lock(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_request: object) -> None:
        raise CommandFailedError("no engine")

    blue = target.colours[Colour.BLUE]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(blue, "speak", fail)
        meanwhile.setattr(blue, "status", fail)
        ahead = StandbyPrefetch(cast(Any, target), cast(Any, target))
        assert ahead.synthesis(cast(Any, blue)) is None
        assert ahead.status(cast(Any, blue)) is None
    assert rollback(target, ahead) == OLD
    assert len(blue.texts) == 1


@pytest.mark.parametrize("recorded", [None, Colour.BLUE])
def test_a_missing_or_outdated_env_file_only_costs_time(target: Target, recorded: Colour | None) -> None:
    target.refresh_env(recorded)
    ahead, blue = StandbyPrefetch(cast(Any, target), cast(Any, target)), target.colours[Colour.BLUE]
    assert ahead.synthesis(cast(Any, blue)) is None
    assert rollback(target, ahead) == OLD
    assert len(blue.texts) == 1


def test_a_prefetched_status_is_used_until_the_container_restarts(target: Target) -> None:
    ahead, blue = prefetched(target)
    blue.phase = "failed"
    assert ahead.of(cast(Any, blue)).status().phase == "ready"
    blue.life = "second"
    assert StandbyPrefetch.status(ahead, cast(Any, blue)) is None
