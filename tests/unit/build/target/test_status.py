"""Whether the live release serves, as `status` says it by its exit code."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.model.colours import Colour, ColourFacts
from build.proxy.types import Hold
from build.target.status import TargetStatus
from tests.unit.build.fakes import OLD

LIVE = ColourFacts(release=OLD, container="running", admin="ready", usable=True)
ABSENT = ColourFacts(release=None, container="absent", admin="maint", usable=False)
WELL = TargetStatus(
    stack={Colour.BLUE: LIVE, Colour.GREEN: ABSENT},
    live=Colour.BLUE,
    shares={},
    last_good=None,
    in_progress=None,
    lock=None,
    hold=Hold("none", 0),
    proxy_running=True,
    warnings=(),
    served=True,
)
LOCK = cast(Any, SimpleNamespace())


def live_as(**facts: Any) -> dict[Colour, ColourFacts]:
    return {**WELL.stack, Colour.BLUE: replace(LIVE, **facts)}


DOWN = {Colour.BLUE: ABSENT, Colour.GREEN: ABSENT}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (WELL, ""),
        (replace(WELL, stack=live_as(usable=False)), "its health checks fail"),
        (replace(WELL, stack=live_as(container="paused")), "its container is paused"),
        (replace(WELL, live=None, proxy_running=False), "the proxy does not run"),
        (replace(WELL, stack=DOWN, live=None), "no release is live, although one was"),
        (replace(WELL, stack=DOWN, live=None, served=False), ""),
        (replace(WELL, stack=DOWN, live=None, proxy_running=False, served=False), ""),
        (replace(WELL, stack=live_as(usable=False), lock=LOCK, hold=Hold("all", 3)), ""),
        (replace(WELL, stack=live_as(usable=False), hold=Hold("all", 3)), "its health checks fail"),
    ],
    ids=["well", "checks", "paused", "no-proxy", "gone", "never", "down", "in-a-hold", "forgotten-hold"],
)
def test_unhealthy_says_why_the_live_release_does_not_serve(found: TargetStatus, words: str) -> None:
    assert words in found.unhealthy
    assert bool(found.unhealthy) is bool(words)
