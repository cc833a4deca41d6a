"""What a way back has heard before it has the lock, and when it counts no more."""

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
    """OLD stands by in blue, and has not been asked for anything since."""
    target = Target()
    cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: NEW)
    for colour in target.colours.values():
        colour.texts.clear()
    return target


def back(target: Target, ahead: StandbyPrefetch) -> Release:
    return cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: OLD, ahead=ahead)


def heard(target: Target) -> tuple[StandbyPrefetch, ColourContainer]:
    """What stands by, heard."""
    ahead, blue = StandbyPrefetch(cast(Any, target), cast(Any, target)), target.colours[Colour.BLUE]
    assert ahead.heard(cast(Any, blue))
    assert len(blue.texts) == 1
    return ahead, blue


def test_what_stands_by_speaks_once_before_the_lease_and_who_serves_is_not_asked(target: Target) -> None:
    ahead, blue = heard(target)
    assert back(target, ahead) == OLD
    assert len(blue.texts) == 1
    assert target.colours[Colour.GREEN].texts == []
    assert target.history()[-1].facts["gate"]["results"], "what was heard is judged and journaled"


def started_anew(_target: Target, blue: ColourContainer) -> None:
    blue.life = "second"


def waited(target: Target, _blue: ColourContainer) -> None:
    target.clock.time += FRESH_S + 1


@pytest.mark.parametrize("what", [started_anew, waited])
def test_what_was_said_in_another_life_or_long_ago_counts_for_nothing(
    target: Target, what: Callable[[Target, ColourContainer], None]
) -> None:
    ahead, blue = heard(target)
    what(target, blue)
    assert back(target, ahead) == OLD
    assert len(blue.texts) == 2


def test_silence_that_was_heard_moves_no_traffic(target: Target) -> None:
    target.colours[Colour.BLUE].sound = False
    ahead, _ = heard(target)
    with pytest.raises(GateRefusedError):
        back(target, ahead)
    assert target.live(target.survey()) is Colour.GREEN


def test_what_could_not_be_asked_is_asked_in_its_turn(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_text: object) -> None:
        raise CommandFailedError("no engine")

    blue = target.colours[Colour.BLUE]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(blue, "speak", away)
        meanwhile.setattr(blue, "status", away)
        ahead = StandbyPrefetch(cast(Any, target), cast(Any, target))
        assert ahead.heard(cast(Any, blue)) is None
        assert ahead.status(cast(Any, blue)) is None
    assert back(target, ahead) == OLD
    assert len(blue.texts) == 1


@pytest.mark.parametrize("noted", [None, Colour.BLUE])
def test_an_env_file_that_is_not_there_or_out_of_date_costs_time_and_nothing_else(
    target: Target, noted: Colour | None
) -> None:
    target.refresh_env(noted)
    ahead, blue = StandbyPrefetch(cast(Any, target), cast(Any, target)), target.colours[Colour.BLUE]
    assert ahead.heard(cast(Any, blue)) is None
    assert back(target, ahead) == OLD
    assert len(blue.texts) == 1


def test_a_state_that_was_told_is_not_asked_for_again_in_the_same_life(target: Target) -> None:
    ahead, blue = heard(target)
    blue.phase = "failed"
    assert ahead.of(cast(Any, blue)).status().phase == "ready"
    blue.life = "second"
    assert StandbyPrefetch.status(ahead, cast(Any, blue)) is None
