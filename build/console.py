"""Entry point of every command: its typer app, its progress output, and the only place that exits."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from build import VERSION
from build.conda.redaction import redact
from build.docker import daemon
from build.errors import ReportedError
from build.settings import Settings, load
from build.system.interrupts import INTERRUPTS

# Results go to stdout, progress and errors to stderr.
# A pipe reports no width; 160 columns fit most tables. rich reads COLUMNS itself.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
out = Console(highlight=False, soft_wrap=True, width=WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Reporter:
    """Print the progress of a procedure to stderr."""

    def step(self, text: str) -> None:
        """Print the start of a step."""
        _print(f"[bold]==>[/bold] {redact(text)}")

    def note(self, text: str) -> None:
        """Print a detail of the current step."""
        _print(f"    {redact(text)}", markup=False)


def app(help_text: str) -> typer.Typer:
    """Return a command's typer app: plain tracebacks, no shell completion to install."""
    return typer.Typer(
        help=help_text,
        epilog="`--version` alone prints the version.",
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
    )


def settings() -> Settings:
    """Return the settings of the clone in the current directory."""
    return load(Path.cwd(), os.environ)


def main(command: typer.Typer, leave: Callable[[int], NoReturn] = sys.exit) -> NoReturn:
    """Run a command line and exit with 0 or the error's code; print message, detail and remedy to stderr.

    Args:
        leave: exits the process with a code.
    """
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "").upper(), logging.WARNING)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    # SIGTERM and SIGHUP roll back as Ctrl-C does. typer does not catch the error, so it reaches `run`.
    INTERRUPTS.install()
    # Audio checks run beside live traffic. Their matrices are so small that more BLAS threads only contend.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    daemon.settle(os.environ)
    leave(run(command))


def run(command: typer.Typer, args: list[str] | None = None) -> int:
    """Run a command line (sys.argv when None) and return its exit code; typer prints usage errors itself."""
    if (sys.argv[1:] if args is None else args) == ["--version"]:
        out.print(f"glm-tts-line {VERSION}")
        return 0
    try:
        command(args)
    except ReportedError as error:
        return _explain(error)
    except SystemExit as exit_request:
        return exit_request.code if isinstance(exit_request.code, int) else 0
    return 0


def _print(text: str, *, markup: bool = True) -> None:
    """Print to stderr; a closed terminal or pipe must not end a rollback, or change the exit code."""
    with contextlib.suppress(OSError):
        err.print(text, markup=markup)


def _explain(error: ReportedError) -> int:
    _print(f"[bold red]error:[/bold red] {escape(error.message)}")
    if error.detail:
        _print("\n".join(f"  | {line}" for line in error.detail.splitlines()), markup=False)
    if error.remedy:
        _print(f"[bold]remedy:[/bold] {escape(error.remedy)}")
    return error.exit_code


def escape(text: str) -> str:
    """Escape [brackets], which rich would read as markup."""
    return text.replace("[", r"\[")
