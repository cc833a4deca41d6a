"""The default release of a rollback, whose image a prune may have removed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.cutover import __main__ as command
from build.errors import NoLastGoodError
from build.images import resolve
from build.model.release import Release
from build.model.states import State
from build.state.history import Cutover

OLD, NEW = (Release(name * 40, f"registry.example.com/glm@sha256:{name * 64}") for name in "ab")
PAST = [Cutover("1", "switch", NEW, "green", OLD, "2026-01-01T00:00:00Z", state=State.RETIRED)]


@pytest.mark.parametrize(("present", "pulled"), [({}, [OLD]), ({OLD.image: "an image"}, [])])
def test_a_missing_image_of_the_last_good_release_is_pulled(
    monkeypatch: pytest.MonkeyPatch, present: dict[str, str], pulled: list[Release]
) -> None:
    asked: list[Release] = []
    monkeypatch.setattr(resolve, "pull", lambda _engine, _progress, release: asked.append(release))
    target = SimpleNamespace(engine=SimpleNamespace(image=present.get))
    assert command._last_good(cast(Any, target), cast(Any, None), PAST, NEW) == OLD
    assert asked == pulled


def test_without_an_earlier_release_nothing_is_pulled() -> None:
    with pytest.raises(NoLastGoodError):
        command._last_good(cast(Any, None), cast(Any, None), [], NEW)
