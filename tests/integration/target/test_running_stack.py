"""What runs is what the description says: nothing but a cutover changes it, and a switch of the same commit can."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from build.errors import LiveUnhealthyError, OlderReleaseError
from harness.stack import Stack, fresh_stack, wait_for

EXPORTED = {"MODELS": "/srv", "TTS_ENGINE": "vits", "PORT": "9"}
OVERRIDE = "services: {app-blue: {environment: {ADDED: '1'}}, proxy: {environment: {ADDED: '1'}}}\n"
PULLED = (
    ("pids_limit: 512", "pids_limit: 513"),
    ("stop_grace_period: 160s", "stop_grace_period: 161s"),
    (".0/24", ".0/25"),
)


@pytest.fixture(scope="module")
def own(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own with a live release, whose settings and files the tests change."""
    scratch: Path = tmp_path_factory.mktemp("running")
    with fresh_stack(scratch, beside=stack) as own:
        own.env["CUTOVER_GATE_SYNTHESES"] = "1"
        own.release("the running stack")
        own.run("build.cutover", "switch")
        yield own


def up(stack: Stack, *options: str, **env: str) -> str:
    """Return the output of a plain `docker compose up -d`, which must change nothing."""
    before = stack.containers()
    environment = {name: value for name, value in stack.env.items() if not name.startswith("COMPOSE_")}
    argv = ["docker", "compose", *options, "up", "-d"]
    done = subprocess.run(
        argv, cwd=stack.root, env={**environment, **env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert stack.containers() == before
    return done.stdout + done.stderr


def unchanged(stack: Stack, **env: str) -> None:
    for options in ((), ("--dry-run",)):
        output = up(stack, *options, **env)
        assert "Recreat" not in output, output
        assert "Running" in output, output


@contextlib.contextmanager
def changed(path: Path, text: str | None) -> Iterator[None]:
    """Replace a file for the block; None: it does not exist before."""
    before = path.read_text() if path.exists() else None
    path.write_text(text or "")
    try:
        yield
    finally:
        path.write_text(before) if before is not None else path.unlink()


def environment(container: Any) -> dict[str, str]:
    return dict(item.split("=", 1) for item in container.attrs["Config"]["Env"])


def test_changed_settings_change_nothing_that_runs(own: Stack) -> None:
    own.run("build.cutover", "status", CUTOVER_CLIENT_RPM="60", CUTOVER_MODELS="/srv")
    own.run("build.images", CUTOVER_CLIENT_RPM="60", CUTOVER_MODELS="/srv")
    unchanged(own)
    # As if NVIDIA's runtime had vanished or appeared: the runtime is that of the container.
    own.run("build.cutover", "status", CUTOVER_FLAVOUR="cuda")
    unchanged(own)


def test_exported_variables_and_an_override_file_change_nothing_that_runs(own: Stack) -> None:
    with changed(own.root / "compose.override.yaml", OVERRIDE):
        unchanged(own, **EXPORTED)
    refused = up(own, COMPOSE_FILE="compose.yaml")
    assert "compose.yaml is a template; run `make up`" in refused


def test_a_changed_compose_file_applies_to_the_next_candidate_only(own: Stack) -> None:
    text = (own.root / "compose.yaml").read_text()
    for old, new in PULLED:
        assert old in text
        text = text.replace(old, new)
    with changed(own.root / "compose.yaml", text):
        own.run("build.cutover", "status")
        unchanged(own)
        live = own.status()["live"]
        own.run("build.cutover", "switch", "HEAD", "--again")  # the tree is dirty by now
        assert own.status()["live"] != live
        assert own.live_app().attrs["HostConfig"]["PidsLimit"] == 513
        unchanged(own)
    own.run("build.cutover", "status")
    unchanged(own)


def test_a_switch_of_the_live_commit_rolls_changed_settings_out(own: Stack) -> None:
    before = own.status()["live"]
    done = own.run("build.cutover", "switch", CUTOVER_CLIENT_RPM="60")
    assert "TTS_CLIENT_RPM unset -> 60" in done.stderr
    status = own.status()
    assert status["live"] != before
    assert environment(own.live_app())["TTS_CLIENT_RPM"] == "60"
    assert environment(own.container(f"app-{before}"))["TTS_CLIENT_RPM"] == ""
    unchanged(own)
    again = own.run("build.cutover", "switch", CUTOVER_CLIENT_RPM="60")
    assert "already live; nothing to do" in again.stderr
    assert own.status()["live"] == status["live"]
    # After `down`, a plain `up` starts the release as it ran, not with the settings of the moment.
    own.compose("--profile", "*", "down")
    own.run("build.cutover", "status")
    own.compose("up", "-d")
    assert environment(own.live_app())["TTS_CLIENT_RPM"] == "60"
    wait_for("the release after down and up", lambda: not own.status()["unhealthy"])
    unchanged(own)


def test_a_sick_release_is_replaced_by_the_same_commit(own: Stack) -> None:
    own.run("build.cutover", "switch")
    before, app = own.status()["live"], own.live_app()
    app.pause()
    try:
        sick = own.run("build.cutover", "status", "--json", check=False)
        assert sick.returncode == LiveUnhealthyError.exit_code
        done = own.run("build.cutover", "switch")
        assert "its container is paused" in done.stderr
        assert own.status()["live"] != before
        assert own.run("build.cutover", "status").returncode == 0
    finally:
        with contextlib.suppress(Exception):
            app.unpause()


def test_an_older_commit_needs_an_explicit_command(own: Stack) -> None:
    older = own.status()["colours"][own.status()["live"]]["release"]["sha"]
    newer = own.release("a newer commit")
    own.run("build.cutover", "switch")
    late = own.run("build.cutover", "switch", older, check=False)
    assert late.returncode == OlderReleaseError.exit_code
    assert own.status()["last_good"]["sha"] == older
    own.run("build.cutover", "rollback")
    assert own.status()["colours"][own.status()["live"]]["release"]["sha"] == older
    own.run("build.cutover", "switch", newer)
    own.run("build.cutover", "switch", older, "--older")
    assert own.live_app().labels["ai.glm-tts.release"] == older
