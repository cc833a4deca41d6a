"""`python -m build.lock` without a network: written locks and refusals."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rattler.index import index_fs

from build import console, lock
from build.conda.standin import package
from build.conda.standin.package import Metadata
from build.errors import CommandFailedError, LocksIncompleteError, MissingFileError, UsageError
from build.locks import index
from build.locks.index import conda_lock

REPOSITORY = Path(__file__).resolve().parents[3]


def test_outside_the_clone_the_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match=r"environment\.yml"):
        lock.conda()
    with pytest.raises(MissingFileError, match=r"locks/uv\.in"):
        lock.pip()


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an unreachable channel and without an engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    (tmp_path / "locks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    for argv in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *argv], check=True)
    nowhere = (tmp_path / "nowhere").as_uri()
    lock.ENVIRONMENT.write_text(f"name: test\nchannels: ['{nowhere}']\ndependencies: [python]\n")
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "build.lock", *arguments]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60, env=env)


@pytest.mark.parametrize("arguments", [[], ["--channel", "file:///nowhere"]])
def test_without_a_reachable_channel_no_lock_is_written(unreachable: Path, arguments: list[str]) -> None:
    done = run("conda", *arguments)
    assert done.returncode == CommandFailedError.exit_code
    assert "No lock was written" in done.stderr
    assert ("the stand-in channel is not available: the Docker daemon" in done.stderr) == (not arguments)
    assert list((unreachable / "locks").iterdir()) == []


@pytest.fixture
def channel(unreachable: Path) -> str:
    """Make the project's channel reachable, with two packages: `gpu` needs a driver, `plain` does not."""
    folder = unreachable / "nowhere"
    for name, depends in (("plain", ()), ("gpu", ("__cuda >=12",))):
        (unreachable / name).mkdir()
        (unreachable / name / "file").write_text(name)
        package.write(unreachable / name, Metadata(name, "1.0", "test_0", "MIT", depends), folder)
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False))
    return folder.as_uri()


def require(spec: str) -> None:
    text = lock.ENVIRONMENT.read_text()
    lock.ENVIRONMENT.write_text(text.partition("dependencies:")[0] + f"dependencies: [{spec}]\n")


def test_only_the_cuda_flavour_is_solved_with_a_driver(channel: str, capsys: pytest.CaptureFixture[str]) -> None:
    require("gpu")
    assert console.run(lock.app, ["conda", "--flavour", "cuda"]) == 0
    assert "__cuda=12.0=0" in Path(conda_lock("cuda")).read_text()
    assert console.run(lock.app, ["conda", "--flavour", "slim"]) == CommandFailedError.exit_code
    assert "__cuda" in capsys.readouterr().err
    assert not Path(conda_lock("slim")).exists()


def test_a_lock_for_each_flavour_is_written_with_its_changes_and_inputs(
    channel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    require("plain")
    assert console.run(lock.app, ["conda"]) == 0
    assert re.search(r"plain\W+1\.0=test_0", capsys.readouterr().out)
    entries = index.parse(Path(index.INDEX).read_text())
    assert entries.keys() == {conda_lock("slim"), conda_lock("cuda")}
    assert entries[conda_lock("slim")].tool.startswith("py-rattler ")
    assert console.run(lock.app, ["conda"]) == 0
    captured = capsys.readouterr()
    assert "0 packages changed" in captured.err
    assert captured.out == ""


def test_a_lock_from_another_channel_never_replaces_the_genuine_one(
    channel: str, unreachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require("plain")
    (unreachable / "nowhere").rename(unreachable / "other")
    other = (unreachable / "other").as_uri()
    assert console.run(lock.app, ["conda", "--flavour", "slim", "--channel", other]) == 0
    assert [path.name for path in (unreachable / "locks").iterdir()] == ["conda-standin-slim-linux-64.lock"]
    assert "not a conda-forge lock" in capsys.readouterr().err


def test_glibc_can_be_chosen_only_for_another_channel(channel: str) -> None:
    require("plain")
    for arguments in ([], ["--channel", channel]):
        assert console.run(lock.app, ["conda", *arguments, "--glibc", "2.36"]) == UsageError.exit_code
    assert list(Path("locks").iterdir()) == []


@pytest.fixture
def inputs(unreachable: Path) -> None:
    """Pip inputs that need no index."""
    for name in index.PIP_LOCKS:
        Path(f"locks/{name}.in").touch()


@pytest.mark.usefixtures("inputs", "channel")
def test_without_a_subcommand_all_possible_locks_are_written_and_the_exit_code_shows_missing_ones() -> None:
    require("plain")
    done = run()
    assert done.returncode == LocksIncompleteError.exit_code == 32
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [conda_lock("slim"), "plain", "1.0=test_0"] in rows
    assert [conda_lock("cuda"), "plain", "1.0=test_0"] in rows
    reasons = [line for line in done.stderr.splitlines() if line.startswith("  | ")]
    assert [line[4:21] for line in reasons] == ["apt lock of slim:", "apt lock of cuda:"], (
        "only the locks that need the engine are missing"
    )
    assert f"{len(index.PIP_LOCKS) + 2} locks were written" in done.stderr
    assert {path.name for path in Path("locks").glob("*.*") if path.suffix != ".in"} == {
        *(f"{name}.txt" for name in index.PIP_LOCKS),
        *(Path(conda_lock(flavour)).name for flavour in index.FLAVOURS),
        Path(index.INDEX).name,
    }
    assert run("--check").returncode == run("check").returncode == 0


@pytest.mark.usefixtures("inputs", "unreachable")
def test_without_a_reachable_channel_only_the_pip_locks_are_written() -> None:
    done = run("--flavour", "slim")
    assert done.returncode == LocksIncompleteError.exit_code
    assert f"{conda_lock('slim')}: " in done.stderr
    assert conda_lock("cuda") not in done.stderr
    assert "the stand-in channel is not available" in done.stderr
    assert list(Path("locks").glob("conda-*")) == []
    assert Path("locks/dev.txt").exists()
