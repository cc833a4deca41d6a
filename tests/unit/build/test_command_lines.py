"""Messages and exit codes of failing commands. No test needs a daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import pytest

from build import console, errors
from build.errors import OrchestratorError
from build.settings import STOP_LIMITS, Settings, environment_name, load, stop_limit_s

REPOSITORY = Path(__file__).resolve().parents[3]
APPS = {
    name.partition(".")[0]: import_module(f"build.{name}").app
    for name in ("images.__main__", "cutover.__main__", "doctor", "hello", "janitor.__main__", "lock")
}


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, command: str, /, *args: str, cwd: Path = REPOSITORY, **env: str) -> Done: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process, without a daemon."""
    for key in list(os.environ):
        if key.startswith(("CUTOVER_", "COMPOSE_")) or key in {"PORT", "PUBLISH", "KEYS_FOLDER", "SUBNET_PREFIX"}:
            monkeypatch.delenv(key)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    def run(command: str, /, *args: str, cwd: Path = REPOSITORY, **env: str) -> Done:
        monkeypatch.chdir(cwd)
        for key, value in env.items():
            monkeypatch.setenv(key, value)
        code = console.run(APPS[command], list(args))
        return Done(code, *capsys.readouterr())

    return run


def every_error() -> list[type[OrchestratorError]]:
    found = [OrchestratorError]
    for error in found:
        found += error.__subclasses__()
    return found


def test_exit_codes_are_unique_and_documented() -> None:
    codes = {error.exit_code: error.__name__ for error in every_error()}
    assert len(codes) == len(every_error())
    table = (REPOSITORY / "docs/reference/exit-codes.md").read_text()
    for code, name in codes.items():
        if name != "OrchestratorError":
            assert f"| {code} | `{name}` |" in table, f"docs/reference/exit-codes.md lacks {code} {name}"


@pytest.mark.parametrize("command", ["images", "cutover", "doctor", "hello", "janitor", "lock"])
def test_an_unknown_option_is_a_usage_error(run: Run, command: str) -> None:
    done = run(command, "--no-such-option")
    assert done.returncode == errors.UsageError.exit_code
    assert "--no-such-option" in done.stderr


def test_a_value_out_of_range_is_a_usage_error_that_names_the_choices(run: Run) -> None:
    done = run("images", "--flavour", "tpu")
    assert done.returncode == errors.UsageError.exit_code
    assert "slim" in done.stderr


@pytest.mark.parametrize(
    "command", [["images"], ["cutover", "switch", "abc1234"], ["cutover", "status"], ["doctor"], ["janitor"]]
)
def test_without_a_daemon_the_error_has_a_remedy(run: Run, command: list[str]) -> None:
    done = run(*command)
    assert done.returncode == errors.EngineUnreachableError.exit_code
    assert "remedy: " in done.stderr
    assert "`docker info`" in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_clone_the_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    done = run("images", cwd=tmp_path)
    assert done.returncode == errors.MissingFileError.exit_code
    assert "pyproject.toml" in done.stderr


def test_without_a_repository_nothing_is_built(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    done = run("images", cwd=tmp_path)
    assert done.returncode == errors.NoRepositoryError.exit_code


def test_one_error_lists_every_invalid_setting_with_the_nearest_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cutover]\nprot = 1\nsubnet_prefix = "8.8.8"\n')
    done = run("doctor", cwd=tmp_path, PORT="70000", CUTOVER_FLAVOR="slim", CUTOVER_MODELS="models")
    assert done.returncode == errors.SettingsError.exit_code
    for words in (
        "did you mean port?",
        "did you mean CUTOVER_FLAVOUR?",
        "PORT in the environment: ",
        "must be a private network, not '8.8.8'",
        "CUTOVER_MODELS in the environment: must be an absolute path on the target",
    ):
        assert words in done.stderr


def test_a_broken_env_file_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / ".env").write_text("prose\n")
    done = run("cutover", "status", cwd=tmp_path)
    assert done.returncode == errors.SettingsError.exit_code
    assert "line 1" in done.stderr


def test_the_environment_overrides_env_file_and_env_file_overrides_pyproject(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.cutover]\nport = 1001\ndrain_long_s = 7\n")
    (tmp_path / ".env").write_text("PORT=1002\nCOMPOSE_PROJECT_NAME=stored\n")
    output = run("doctor", "settings", cwd=tmp_path, PORT="1003").stdout
    for expected in ("1003", "stored", "7.0"):
        assert expected in output


def test_the_settings_are_complete_on_a_narrow_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(console.out, "width", 80)
    lines = [line.rstrip() for line in run("doctor", "settings", cwd=tmp_path).stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    assert {environment_name(name) for name in Settings.model_fields if name != "root"} <= set(words)


def test_publishing_beyond_loopback_requires_keys(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cutover]\nkeys_folder = "/etc/keys"\n')
    assert run("doctor", "settings", cwd=tmp_path, PUBLISH="0.0.0.0").returncode == 0  # noqa: S104
    (tmp_path / ".env").write_text("KEYS_FOLDER=/etc/keys\n")
    done = run("doctor", "settings", cwd=tmp_path, PUBLISH="192.0.2.1", KEYS_FOLDER="")
    assert done.returncode == errors.SettingsError.exit_code, "an empty variable overrides .env"
    for words in ("PUBLISH in the environment: ", "192.0.2.1", "KEYS_FOLDER", "or publish on 127.0.0.1"):
        assert words in " ".join(done.stderr.split())
    assert run("doctor", "settings", cwd=tmp_path, PUBLISH="127.0.0.2", KEYS_FOLDER="").returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PUBLISH", "::", "must be an IPv4 address"),
        ("PUBLISH", "example.org", "must be an IPv4 address"),
        ("KEYS_FOLDER", "keys", "KEYS_FOLDER in the environment: "),
        ("KEYS_FOLDER", "/etc/keys:rw", "KEYS_FOLDER in the environment: "),
    ],
)
def test_an_address_or_a_folder_that_compose_rejects_is_rejected(
    run: Run, tmp_path: Path, name: str, value: str, why: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    done = run("doctor", "settings", cwd=tmp_path, **{name: value})
    assert done.returncode == errors.SettingsError.exit_code
    assert why in done.stderr


@pytest.mark.parametrize(("content", "code"), [("", 2), ("two words", 2), (None, 5)])
def test_hello_names_the_fault_of_an_invalid_key_file(run: Run, tmp_path: Path, content: str | None, code: int) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    done = run("hello", "--api-key-file", str(file))
    assert done.returncode == code
    assert "key" in done.stderr
    assert "two words" not in done.stderr


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        (
            "compose.yaml",
            "  stop_grace_period: 2m\n    stop_grace_period: 1m40s\n",
            "100 s (stop_grace_period in compose",
        ),
        ("proxy/haproxy.cfg", "global\n    hard-stop-after 90s\n", "90 s (hard-stop-after in proxy/haproxy.cfg)"),
    ],
)
def test_a_drain_limit_longer_than_a_stop_is_rejected(run: Run, tmp_path: Path, file: str, text: str, why: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.cutover]\ndrain_batch_s = 101\n")
    (tmp_path / "proxy").mkdir()
    (tmp_path / file).write_text(text)
    done = run("doctor", "settings", cwd=tmp_path, CUTOVER_DRAIN_LONG_S="130")
    assert done.returncode == errors.SettingsError.exit_code
    assert "[tool.cutover] drain_batch_s: " in done.stderr
    assert "CUTOVER_DRAIN_LONG_S in the environment: " in done.stderr
    assert "drain_short_s" not in done.stderr
    assert why in " ".join(done.stderr.split())


def test_the_default_drain_limits_fit_the_stop_limits_of_the_stack() -> None:
    settings = load(REPOSITORY, {})
    for file, name in STOP_LIMITS.items():
        most_s = stop_limit_s((REPOSITORY / file).read_text(), name)
        assert most_s
        assert max(settings.drain_budgets.values()) <= most_s


@pytest.mark.parametrize("command", ["build.images.__main__", "build.cutover.__main__"])
def test_a_command_starts_without_slow_libraries_that_it_does_not_need(command: str) -> None:
    heavy = ("numpy", "python_on_whales", "cyclonedx", "onnxruntime", "paramiko")
    script = f"import sys, {command}; print([name for name in {heavy} if sys.modules.get(name)])"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
