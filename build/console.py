"""The edge of every command: its typer app, how it reports, and the one place that exits."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console

from build.conda.redaction import redact
from build.docker import daemon
from build.errors import InterruptedByUserError, LineError
from build.settings import Settings, load

# Results go to stdout, everything about getting there to stderr.
# A pipe has no width: 160 columns hold most tables. rich reads COLUMNS itself.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
out = Console(highlight=False, soft_wrap=True, width=WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Reporter:
    """Says what a procedure does, as it does it."""

    def step(self, text: str) -> None:
        """A new step begins."""
        err.print(f"[bold]==>[/bold] {redact(text)}")

    def note(self, text: str) -> None:
        """Something worth knowing inside a step."""
        err.print(f"    {redact(text)}", markup=False)


def app(help_text: str) -> typer.Typer:
    """A command's typer app: plain errors, no shell completion to install."""
    return typer.Typer(help=help_text, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=False)


def settings() -> Settings:
    """The settings of the clone that the command is run in."""
    return load(Path.cwd(), os.environ)


def main(command: typer.Typer) -> NoReturn:
    """Runs a command line and exits: 0, or the error's own code after what, why and remedy on stderr."""
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "").upper(), logging.WARNING)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    # A stop from outside undoes what Ctrl-C undoes; as an error of ours it passes typer untouched.
    for number in STOPS:
        signal.signal(number, _interrupt)
    # What hears candidates works beside live traffic, on matrices so small that more threads only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    daemon.settle(os.environ)
    sys.exit(run(command))


def run(command: typer.Typer, args: list[str] | None = None) -> int:
    """Runs a command line (sys.argv when None) to its exit code; usage errors are typer's own."""
    try:
        command(args)
    except LineError as error:
        return _explain(error)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    return 0


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: what follows is the undoing, and a second signal must not cut that off.
    for each in STOPS:
        signal.signal(each, signal.SIG_IGN)
    raise InterruptedByUserError(f"interrupted by {signal.Signals(number).name}")


def _explain(error: LineError) -> int:
    err.print(f"[bold red]error:[/bold red] {escape(error.message)}")
    if error.detail:
        err.print("\n".join(f"  | {line}" for line in error.detail.splitlines()), markup=False)
    if error.remedy:
        err.print(f"[bold]remedy:[/bold] {escape(error.remedy)}")
    return error.exit_code


def escape(text: str) -> str:
    """Text as it is, where rich would read [brackets] as markup."""
    return text.replace("[", r"\[")
