"""Hooks as real processes, at the points of a switch on a target in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from build.cutover import cutover
from build.errors import CandidateExitedError, HookRefusedError, SettingsError
from build.model.release import Release
from build.notify import hook, hook_runner
from build.settings import Hooks, load
from tests.unit.build.fakes import NEW, Report, Target


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def hooked(**commands: tuple[str, ...]) -> Target:
    target = Target()
    named = {name.replace("_", "-"): argv for name, argv in commands.items()}
    target.settings = target.settings.model_copy(update={"hooks": Hooks.model_validate(named)})
    return target


def switch(target: Target, report: Report | None = None) -> Release:
    return cutover.run(cast(Any, target), report or Report(), "switch", lambda _history, _live: NEW)


def hook_records(target: Target) -> list[tuple[str, str]]:
    return [(record["point"], record["error"]) for record in target.records if record["event"] == "hook"]


TELL = "import os; print(os.environ['CUTOVER_POINT'], os.environ['CUTOVER_RELEASE'], os.environ['CUTOVER_STATE'])"


def test_hooks_run_before_and_after_traffic_moves_and_are_told_the_facts() -> None:
    target = hooked(pre_switch=python(TELL), post_switch=python(TELL))
    switch(target)
    said = [record["output"] for record in target.records if record["event"] == "hook"]
    assert said == [f"pre-switch {NEW.sha} verified", f"post-switch {NEW.sha} switched"]


def test_a_pre_switch_hook_that_fails_refuses_the_switch_and_undoes_the_candidate() -> None:
    target = hooked(pre_switch=python("import sys; sys.exit('the change window is closed')"))
    with pytest.raises(HookRefusedError, match="exited with 1") as raised:
        switch(target)
    assert raised.value.detail == "the change window is closed"
    assert "green-1 ready" not in target.said
    assert "green removed" in target.said
    assert target.ended == "failed"


def test_a_post_switch_hook_that_fails_changes_nothing() -> None:
    target, report = hooked(post_switch=python("raise SystemExit(3)")), Report()
    assert switch(target, report) == NEW
    assert target.ended == "retired"
    assert hook_records(target) == [("post-switch", "it exited with 3")]
    assert any("changes nothing" in line for line in report.lines)


def test_on_alert_runs_under_the_lease_when_a_switch_fails() -> None:
    target = hooked(on_alert=python("import os; print(os.environ['CUTOVER_ERROR'])"))
    target.colours[next(colour for colour in target.colours if colour.value == "green")].running = False
    with pytest.raises(CandidateExitedError):
        switch(target)
    assert hook_records(target) == [("on-alert", "")]
    assert target.said[-1] == "released"


def test_on_rollback_runs_when_a_rollback_has_moved_traffic() -> None:
    target = hooked(on_rollback=python(TELL))
    cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: NEW)
    assert hook_records(target) == [("on-rollback", "")]


def test_a_hook_over_its_time_is_ended_with_what_it_started(tmp_path: Path) -> None:
    ended = hook_runner.run(["sh", "-c", "echo begun; sleep 600 & sleep 600"], cwd=tmp_path, timeout_s=0.5, facts={})
    assert ended.error == "it did not end within 0.5 s"
    assert ended.output == "begun\n"
    assert ended.took_s < 10


def test_a_command_that_is_not_there_is_an_error_of_the_hook(tmp_path: Path) -> None:
    assert "cannot be run" in hook_runner.run(["/no/such"], cwd=tmp_path, timeout_s=1, facts={}).error


def test_output_is_bounded(tmp_path: Path) -> None:
    ended = hook_runner.run(python("print('x' * 10**6); print('end')"), cwd=tmp_path, timeout_s=20, facts={})
    assert len(ended.output) <= hook_runner.MOST_READ
    kept = hook.kept(ended.output, {})
    assert len(kept) < hook.KEPT_CHARACTERS + 10
    assert kept.endswith("end")


def test_secrets_and_userinfo_never_stay() -> None:
    environ = {"API_TOKEN": "abcdef123", "HOME": "/home/me", "DB_PASSWORD": "short"}
    said = "abcdef123 in https://me:pw@host/x from /home/me, short"
    assert hook.redact(said, environ) == "*** in https://***@host/x from /home/me, short"


def test_an_unknown_point_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cutover.hooks]\npre-swich = ["true"]\non-alert = []\n')
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, {})
    assert "pre-swich: no such hook; did you mean pre-switch?" in raised.value.message
    assert "on-alert" in raised.value.message


def test_the_facts_of_a_hook_are_no_settings_and_an_address_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    settings = load(tmp_path, {"CUTOVER_ID": "x", "CUTOVER_STATE": "y", "CUTOVER_ALERT_WEBHOOK": "http://a/secret"})
    assert "secret" not in str(settings)
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, {"CUTOVER_ALERT_WEBHOOK": "ftp://a/secret"})
    assert "secret" not in raised.value.message
