"""Page of the commands: typer's commands by introspection, the others by their `--help`."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from scripts.reference.markdown import code, table

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("images", "cutover", "janitor", "doctor", "golden", "lock", "hello")
PROGRAMS = (
    ("python -m batch run", ["batch", "run"]),
    ("python -m batch verify", ["batch", "verify"]),
    ("python -m batch check", ["batch", "check"]),
    ("python -m batch convert", ["batch", "convert"]),
    ("python -m batch generate", ["batch", "generate"]),
    ("python -m service.keys new", ["service.keys", "new"]),
    ("python -m service.control", ["service.control"]),
    ("python -m service.probe", ["service.probe"]),
    ("python -m service.engines.glm_tts.manifest", ["service.engines.glm_tts.manifest"]),
)


def page() -> str:
    """Return the page."""
    parts = [
        "# Commands",
        "Run commands from the root of the clone, as `uv run python -m ...`. "
        "Every command exits with 0 or with a code of [exit-codes](exit-codes.md). "
        "`--version` alone prints the version of this project.",
    ]
    for name in COMMANDS:
        parts += _command(f"python -m build.{name}", _typer(f"build.{name}"), 2)
    for heading, module_and_args in PROGRAMS:
        parts += [f"## {heading}", f"```text\n{_usage(module_and_args)}\n```"]
    return "\n\n".join(parts)


def _typer(module: str) -> Any:
    """Return the typer command of a module, or of a package's `__main__`."""
    imported = importlib.import_module(module)
    if hasattr(imported, "__path__"):
        imported = importlib.import_module(f"{module}.__main__")
    return typer.main.get_command(imported.app)


def _command(path: str, command: Any, level: int) -> list[str]:
    shown = [f"{'#' * level} {path}", (command.help or "").strip()]
    rows = [row for parameter in command.params if (row := _parameter(command, parameter))]
    if rows:
        shown.append(table(("argument or option", "value", "default", "meaning"), rows))
    for name, below in sorted(getattr(command, "commands", {}).items()):
        shown += _command(f"{path} {name}", below, level + 1)
    return shown


def _parameter(command: Any, parameter: Any) -> tuple[str, ...] | None:
    """Return the table row of a parameter; None for typer's own `--help`."""
    if parameter.name == "help":
        return None
    option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if option else [str(parameter.name).upper()]
    flag = getattr(parameter, "is_flag", False)
    value = "" if flag or not option else parameter.metavar or parameter.display_type(typer.Context(command))
    has_default = parameter.default is not None and parameter.default is not False and not callable(parameter.default)
    return (
        ", ".join(map(code, names)),
        str(value).strip("<>"),
        code(parameter.default) if has_default else "",
        parameter.help or "",
    )


def _usage(argv: list[str]) -> str:
    module, *rest = argv
    done = subprocess.run(
        [sys.executable, "-m", module, *rest, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
