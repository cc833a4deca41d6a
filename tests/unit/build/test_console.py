"""The end of a command: its exit code, and its output after the terminal has closed."""

from __future__ import annotations

import io

import pytest
import typer
from rich.console import Console

from build import console
from build.errors import InterruptedByUserError, ProxyError, ReportedError


class Closed(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")


def failing(error: ReportedError) -> typer.Typer:
    app = console.app("A command.")

    @app.command()
    def fail() -> None:
        try:
            raise error
        except Exception:  # noqa: BLE001 - as broad as any handler of failures
            raise SystemExit(99) from None

    return app


def test_an_interrupt_reaches_the_exit_through_any_handler_of_failures() -> None:
    assert console.run(failing(InterruptedByUserError("interrupted by SIGINT")), []) == 130
    assert console.run(failing(ProxyError("no answer")), []) == 99


def test_a_closed_terminal_neither_ends_a_rollback_nor_changes_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "err", Console(file=Closed()))
    console.Reporter().step("blue takes over again")
    console.Reporter().note("a detail")
    app = console.app("A command.")

    @app.command()
    def interrupted() -> None:
        raise InterruptedByUserError("interrupted by SIGHUP", remedy="look", detail="logs")

    assert console.run(app, []) == 130
