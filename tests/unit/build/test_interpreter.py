"""Commands run by an unsuitable Python: real processes of a Python without site-packages."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from build import interpreter
from build.errors import InterpreterError

ROOT = Path(__file__).resolve().parents[3]
BARE = [sys.executable, "-S"]  # without site-packages


def commands() -> list[str]:
    """Return every module that `python -m` runs, by its dotted name, except those that run only in a container."""
    found = []
    for package in ("batch", "bench", "build", "service"):
        for file in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            if ".in_image." in module or ".in_container." in module:
                continue
            if file.name == "__main__.py" or '\nif __name__ == "__main__":' in file.read_text():
                found.append(module.removesuffix(".__main__"))
    return found


def run(*argv: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_documented_commands_are_found() -> None:
    names = {"cutover", "doctor", "golden", "hello", "images", "janitor", "lock"}
    assert set(commands()) >= {"bench", "service", "batch", "build.conda"} | {f"build.{name}" for name in names}


@pytest.mark.parametrize("module", commands())
def test_without_packages_a_command_names_the_remedy_in_one_line(module: str) -> None:
    done = run(*BARE, "-m", module, "--help")
    assert "Traceback" not in done.stderr
    if done.returncode == 0 or module == "service.probe":  # a command that needs only the standard library
        return
    assert done.returncode == InterpreterError.exit_code, done.stderr
    assert re.fullmatch(
        rf"error: \S+ cannot run this command: the package \w+ is missing .*; "
        rf"remedy: scripts/bootstrap, then uv run python -S -m {re.escape(module)} --help\n",
        done.stderr,
    )


@pytest.mark.parametrize("package", ["batch", "build", "service"])
def test_a_python_that_is_too_old_is_rejected(package: str) -> None:
    as_runpy = f"import sys; sys.version_info = (3, 10, 2); sys.argv = ['-m']; import {package}"
    done = run(*BARE, "-c", as_runpy)
    assert done.returncode == InterpreterError.exit_code
    assert "Python 3.10 is older than 3.11; remedy: scripts/bootstrap" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_old_python_can_parse_the_first_modules() -> None:
    for path in (
        "batch/__init__.py",
        "build/__init__.py",
        "build/interpreter.py",
        "service/__init__.py",
        "service/interpreter.py",
    ):
        ast.parse((ROOT / path).read_text(), feature_version=(3, 6))
        # Annotations are evaluated before 3.7's future import, and `X | Y` fails there.
        assert "from __future__" not in (ROOT / path).read_text()


def test_every_file_states_the_same_minimum() -> None:
    minimum = ".".join(map(str, interpreter.MINIMUM))
    assert f'requires-python = ">={minimum}"' in (ROOT / "pyproject.toml").read_text()
    assert f"PYTHON_MINIMUM={minimum}\n" in (ROOT / "scripts/lib/python.sh").read_text()
    assert InterpreterError.exit_code == interpreter.EXIT_CODE


def test_build_and_service_have_the_same_check() -> None:
    assert (ROOT / "build/interpreter.py").read_bytes() == (ROOT / "service/interpreter.py").read_bytes()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with its own empty .venv, marked as synced from its locks."""
    for name in (
        "build/__init__.py",
        "build/interpreter.py",
        "scripts/bootstrap",
        "locks/dev.txt",
        "locks/weights.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "build" / "own.py").write_text("import build.missing\n")
    (tmp_path / "build" / "fine.py").write_text("print('fine')\n")
    venv.create(tmp_path / ".venv", with_pip=False, symlinks=True)
    locks = [(tmp_path / "locks" / name).read_bytes() for name in ("dev.txt", "weights.txt")]
    (tmp_path / ".venv" / "synced-from.txt").write_bytes(b"".join(locks))
    return tmp_path


def test_an_outdated_venv_causes_a_warning_only(clone: Path) -> None:
    python = str(clone / ".venv" / "bin" / "python")
    assert (done := run(python, "-m", "build.fine", cwd=clone)).stderr == "", done.stderr
    with (clone / "locks" / "dev.txt").open("a") as lock:
        lock.write("another==1\n")
    done = run(python, "-m", "build.fine", cwd=clone)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert done.stderr == (
        "warning: .venv differs from locks/dev.txt and locks/weights.txt; remedy: scripts/bootstrap\n"
    )
    assert run(sys.executable, "-m", "build.fine", cwd=clone).stderr == ""  # not the clone's venv


def test_an_error_in_the_clones_code_keeps_its_traceback(clone: Path) -> None:
    done = run(*BARE, "-m", "build.own", cwd=clone)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "build.missing" in done.stderr


def test_an_image_skips_the_check(clone: Path) -> None:
    (clone / "scripts" / "bootstrap").unlink()
    (clone / "build" / "own.py").write_text("import typer\n")
    done = run(*BARE, "-m", "build.own", cwd=clone)
    assert "ModuleNotFoundError: No module named 'typer'" in done.stderr
