"""Commands that use py-rattler exit without finalizing the interpreter, with their output and exit code."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from rattler.index import index_fs

from build.conda import client
from build.conda.environment import CondaEnvironment
from build.conda.standin import package
from build.conda.standin.package import Metadata

REPOSITORY = Path(__file__).resolve().parents[4]
FINALIZED = "the interpreter finalized"


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a module as `python -m` does, with a marker on stdout if the interpreter finalizes."""
    script = f"""
import atexit, runpy, sys
atexit.register(print, {FINALIZED!r})
sys.argv = [{module!r}, *sys.argv[1:]]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
    argv = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def install(tmp_path: Path, lock: Path) -> list[str | Path]:
    return [
        *("install", "--channel", tmp_path / "no-channel", "--lock", lock),
        *("--prefix", tmp_path / "env", "--record", tmp_path / "record"),
    ]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    channel, content = tmp_path / "channel", tmp_path / "content"
    (content / "share").mkdir(parents=True)
    (content / "share/tool").touch()
    package.write(content, Metadata("tool", "1.0", "test_0", "MIT", noarch="generic"), channel)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
    environment = CondaEnvironment("test", (channel.as_uri(),), ("tool",), ())
    path = tmp_path / "conda-forge-linux-64.lock"
    path.write_text(asyncio.run(client.solve(environment)).text())
    return path


def test_an_install_ends_without_finalizing(tmp_path: Path, lock: Path) -> None:
    done = run("build.conda", *install(tmp_path, lock))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "installing 1 packages" in done.stderr
    assert (tmp_path / "env/share/tool").exists()
    assert (tmp_path / "record/conda-source").read_text() == "channel\n"


def test_an_error_keeps_its_message_and_exit_code(tmp_path: Path) -> None:
    done = run("build.conda", *install(tmp_path, tmp_path / "conda-forge-linux-64.lock"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no conda lock")


@pytest.mark.parametrize(("arguments", "code"), [(["check"], 0), (["no-such-command"], 2)])
def test_a_lock_command_ends_without_finalizing(arguments: list[str], code: int) -> None:
    done = run("build.lock", *arguments)
    assert (done.returncode, FINALIZED in done.stdout) == (code, False)
    assert ("locks match their inputs" if code == 0 else "no-such-command") in done.stderr


def test_output_in_a_buffer_is_written() -> None:
    written = "import sys; sys.stdout.write('buffered')"
    done = subprocess.run(
        [sys.executable, "-c", f"{written}; from build.conda.shutdown import exit_process; exit_process(3)"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "buffered")
