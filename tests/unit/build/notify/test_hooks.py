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
from build.settings import load
from build.settings_types import Hooks
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


PRINT_FACTS = (
    "import os; print(os.environ['CUTOVER_POINT'], os.environ['CUTOVER_RELEASE'], os.environ['CUTOVER_STATE'])"
)


def test_hooks_run_before_and_after_traffic_moves_with_the_facts() -> None:
    target = hooked(pre_switch=python(PRINT_FACTS), post_switch=python(PRINT_FACTS))
    switch(target)
    outputs = [record["output"] for record in target.records if record["event"] == "hook"]
    assert outputs == [f"pre-switch {NEW.sha} verified", f"post-switch {NEW.sha} switched"]


def test_a_failing_pre_switch_hook_refuses_the_switch_and_removes_the_candidate() -> None:
    target = hooked(pre_switch=python("import sys; sys.exit('the change window is closed')"))
    with pytest.raises(HookRefusedError, match="exited with code 1") as raised:
        switch(target)
    assert raised.value.detail == "the change window is closed"
    assert "green-1 ready" not in target.calls
    assert "green removed" in target.calls
    assert target.ended == "failed"


def test_a_failing_post_switch_hook_changes_nothing() -> None:
    target, report = hooked(post_switch=python("raise SystemExit(3)")), Report()
    assert switch(target, report) == NEW
    assert target.ended == "retired"
    assert hook_records(target) == [("post-switch", "it exited with code 3")]
    assert any("the cutover continues" in line for line in report.lines)


def test_on_alert_runs_under_the_lock_when_a_switch_fails() -> None:
    target = hooked(on_alert=python("import os; print(os.environ['CUTOVER_ERROR'])"))
    target.colours[next(colour for colour in target.colours if colour.value == "green")].running = False
    with pytest.raises(CandidateExitedError):
        switch(target)
    assert hook_records(target) == [("on-alert", "")]
    assert target.calls[-1] == "released"


def test_on_rollback_runs_when_a_rollback_has_moved_traffic() -> None:
    target = hooked(on_rollback=python(PRINT_FACTS))
    cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: NEW)
    assert hook_records(target) == [("on-rollback", "")]


def test_a_hook_that_times_out_is_killed_with_its_child_processes(tmp_path: Path) -> None:
    ended = hook_runner.run(["sh", "-c", "echo begun; sleep 600 & sleep 600"], cwd=tmp_path, timeout_s=0.5, facts={})
    assert ended.error == "it timed out after 0.5 s"
    assert ended.output == "begun\n"
    assert ended.took_s < 10


def test_a_missing_command_is_an_error_of_the_hook(tmp_path: Path) -> None:
    assert "cannot run" in hook_runner.run(["/no/such"], cwd=tmp_path, timeout_s=1, facts={}).error


def test_output_is_bounded(tmp_path: Path) -> None:
    ended = hook_runner.run(python("print('x' * 10**6); print('end')"), cwd=tmp_path, timeout_s=20, facts={})
    assert len(ended.output) <= hook_runner.MOST_READ
    excerpt = hook.excerpt(ended.output, {})
    assert len(excerpt) < hook.MOST_CHARACTERS + 10
    assert excerpt.endswith("end")


def test_secrets_and_userinfo_are_redacted() -> None:
    environ = {"API_TOKEN": "abcdef123", "HOME": "/home/me", "DB_PASSWORD": "short"}
    text = "abcdef123 in https://me:pw@host/x from /home/me, short"
    assert hook.redact(text, environ) == "*** in https://***@host/x from /home/me, short"


def test_an_unknown_point_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cutover.hooks]\npre-swich = ["true"]\non-alert = []\n')
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, {})
    assert "pre-swich: unknown hook; did you mean pre-switch?" in raised.value.message
    assert "on-alert" in raised.value.message


def test_hook_variables_are_not_settings_and_addresses_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    settings = load(tmp_path, {"CUTOVER_ID": "x", "CUTOVER_STATE": "y", "CUTOVER_ALERT_WEBHOOK": "http://a/secret"})
    assert "secret" not in str(settings)
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, {"CUTOVER_ALERT_WEBHOOK": "ftp://a/secret"})
    assert "secret" not in raised.value.message
