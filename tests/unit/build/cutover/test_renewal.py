"""A switch to the release that is live: nothing to do, a replacement of a sick one, or a rollout of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from build.cutover import age, cutover
from build.cutover.run import ROLLBACK
from build.cutover.state_machine import StrategyRequest
from build.errors import OlderReleaseError
from build.model.colours import Colour
from build.model.labels import OCI
from build.model.release import Release
from build.model.rollout import Rollout
from build.state.history import last_good
from build.system import git
from tests.unit.build.fakes import NEW, OLD, Report, Target

AGAIN = StrategyRequest(again=True)


def target_with(release: Release = OLD) -> Target:
    target = Target()
    target.starts = release
    return target


def run(target: Target, release: Release = OLD, kind: str = "switch", **options: Any) -> Report:
    report = Report()
    assert cutover.run(cast(Any, target), report, kind, lambda _past, _live: release, **options) == release
    return report


def live(target: Target) -> Colour | None:
    return target.live(target.survey())


def hang(target: Target) -> None:
    target.proxy.hung = "blue-1"


def stop(target: Target) -> None:
    target.colours[Colour.BLUE].running = False


def fail_checks(target: Target) -> None:
    target.failing.add("blue")


def test_a_healthy_release_with_the_current_settings_stays() -> None:
    report = run(target := target_with())
    assert live(target) is Colour.BLUE
    assert target.records == []
    assert report.lines == [f"{OLD} is already live; nothing to do"]


@pytest.mark.parametrize("kind", ["switch", ROLLBACK])
@pytest.mark.parametrize(
    ("sicken", "words"), [(hang, "not answer"), (stop, "container is exited"), (fail_checks, "health checks fail")]
)
def test_a_sick_release_is_replaced_by_itself(sicken: Callable[[Target], None], words: str, kind: str) -> None:
    sicken(target := target_with())
    target.clock.time = 0
    report = run(target, kind=kind)
    assert live(target) is Colour.GREEN
    assert words in report.lines[0]
    assert target.ended == "retired"


def test_changed_settings_are_rolled_out_behind_the_gate() -> None:
    target = target_with()
    target.changed = ["TTS_CLIENT_RPM unset -> 60"]
    report = run(target)
    assert live(target) is Colour.GREEN
    assert "TTS_CLIENT_RPM unset -> 60" in report.lines[0]
    assert target.history()[-1].facts["gate"]


def test_a_rollback_does_not_roll_out_settings() -> None:
    target = target_with()
    target.changed = ["TTS_CLIENT_RPM unset -> 60"]
    run(target, kind=ROLLBACK)
    assert live(target) is Colour.BLUE


def test_another_number_of_replicas_is_rolled_out() -> None:
    target = target_with()
    report = run(target, rollout=Rollout(replicas=2))
    assert live(target) is Colour.GREEN
    assert "replicas 1 -> 2" in report.lines[0]


def test_again_renews_a_healthy_release_and_the_last_good_one_is_another_commit() -> None:
    target = Target()
    run(target, NEW)
    run(target, NEW, request=AGAIN)
    run(target, NEW, request=AGAIN)
    past = target.history()
    assert [cutover.colour for cutover in past] == ["green", "blue", "green"]
    assert [cutover.previous for cutover in past] == [OLD, NEW, NEW]
    assert last_good(past, NEW) == OLD


def commits(first: bool | None) -> Callable[..., bool | None]:
    return lambda _root, _older, _newer: first


def check(target: Target, *, accepted: bool = False) -> list[str]:
    report = Report()
    age.check(cast(Any, target), report, NEW, OLD, accepted=accepted)
    return report.lines


def test_an_ancestor_of_the_live_commit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "is_ancestor", commits(True))
    with pytest.raises(OlderReleaseError, match="is older than the live release") as refused:
        check(Target())
    assert f"rollback {NEW.sha}" in refused.value.remedy
    assert "--older accepts it" in check(Target(), accepted=True)[0]


@pytest.mark.parametrize(("first", "warned"), [(None, True), (False, False)])
def test_without_both_commits_the_labels_only_warn(
    first: bool | None, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "is_ancestor", commits(first))
    target = Target()
    created = {NEW.image: "2026-01-01T00:00:00Z", OLD.image: "2026-01-02T00:00:00Z"}
    target.image_labels = lambda image: {OCI + "created": created[image]}
    assert bool(check(target)) is warned
    created[OLD.image] = created[NEW.image]
    assert check(target) == []
    target.image_labels = lambda _image: {}
    assert check(target) == []


def test_the_live_commit_itself_is_not_older(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "is_ancestor", commits(True))
    age.check(cast(Any, Target()), Report(), OLD, OLD, accepted=False)
    age.check(cast(Any, Target()), Report(), OLD, None, accepted=False)
