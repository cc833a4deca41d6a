"""The edge of every command: its typer app, how it reports, and the one place that exits."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer
from click.exceptions import ClickException
from rich.console import Console

from build.errors import InterruptedByUserError, LineError
from build.settings import Settings, load

# Results go to stdout, everything about getting there to stderr.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Reporter:
    """Says what a procedure does, as it does it."""

    def step(self, text: str) -> None:
        """A new step begins."""
        err.print(f"[bold]==>[/bold] {text}")

    def note(self, text: str) -> None:
        """Something worth knowing inside a step."""
        err.print(f"    {text}", markup=False)


def app(help_text: str) -> typer.Typer:
    """A command's typer app: plain errors, no shell completion to install."""
    return typer.Typer(help=help_text, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=False)


def settings() -> Settings:
    """The settings of the clone that the command is run in."""
    return load(Path.cwd(), os.environ)


def main(command: typer.Typer) -> NoReturn:
    """Runs a command line and exits: 0, or the error's own code after what, why and remedy on stderr."""
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "WARNING").upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_guarded(lambda: command(standalone_mode=False)))


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    # A stop from outside must undo what Ctrl-C undoes.
    raise KeyboardInterrupt


def _guarded(call: Callable[[], object]) -> int:
    try:
        result = call()
    except LineError as error:
        return _explain(error)
    except ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _explain(InterruptedByUserError("interrupted"))
    return result if isinstance(result, int) else 0


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
