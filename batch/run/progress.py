"""Progress of a run on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import time
from typing import Protocol, Self

from rich import progress
from rich.console import Console
from rich.markup import escape

_EVERY_S = 10.0


class Progress(Protocol):
    """Events of a run."""

    limit: int

    def finished(self, duration_s: float) -> None:
        """Report a finished clip."""

    def failed(self, what: str) -> None:
        """Report an item that finally failed."""

    def waiting(self, reason: str) -> None:
        """Report that the service asks for a retry."""

    def note(self, text: str) -> None:
        """Show a message to the user."""


class ConsoleProgress:
    """Progress of `total` items of which `done` exist already; a context manager."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        self.limit = 0
        self._console = console
        self._total = total
        self._done = self._before = done
        self._failed = 0
        self._audio_s = 0.0
        self._reason = ""
        self._began = self._printed_at = time.monotonic()
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[facts]}"),
            progress.TimeRemainingColumn(),
            console=console,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, facts="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._print_line()
        self._bar.stop()

    def finished(self, duration_s: float) -> None:
        """Report a finished clip."""
        self._done += 1
        self._audio_s += duration_s
        self._reason = ""
        self._update()

    def failed(self, what: str) -> None:
        """Report an item that finally failed."""
        self._failed += 1
        self._console.print(f"failed: {escape(what)}", style="red")
        self._update()

    def waiting(self, reason: str) -> None:
        """Report that the service asks for a retry."""
        self._reason = reason
        self._update()

    def note(self, text: str) -> None:
        """Show a message to the user."""
        self._console.print(escape(text))

    def _update(self) -> None:
        now = time.monotonic()
        self._bar.update(self._task, completed=self._done + self._failed, facts=escape(self._facts(now)))
        if not self._console.is_terminal and now - self._printed_at >= _EVERY_S:
            self._print_line()

    def _facts(self, now: float) -> str:
        took = max(now - self._began, 1e-3)
        made = self._done - self._before
        failed = f", {self._failed} failed" if self._failed else ""
        reason = f", waiting: {self._reason}" if self._reason else ""
        return f"{made / took:.2f}/s, {self._audio_s / took:.1f} x real time, {self.limit} in flight{failed}{reason}"

    def _print_line(self) -> None:
        """Print one line of text if there is no bar."""
        self._printed_at = now = time.monotonic()
        if self._console.is_terminal:
            return
        made = self._done - self._before
        remaining = self._total - self._done - self._failed
        remaining_s = f", {remaining * (now - self._began) / made:.0f} s remaining" if made and remaining else ""
        self._console.print(f"{self._done} of {self._total}: {escape(self._facts(now))}{remaining_s}")
