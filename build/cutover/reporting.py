"""Report a finished cutover: alerts while the lock is held, the HTML page after its release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from build.errors import OrchestratorError
from build.notify import alerts as notify_alerts
from build.progress import Progress
from build.state.history import Cutover
from build.target.types import Target


class Reporting:
    """Alerts and report pages for all cutovers that one command touches."""

    def __init__(self, target: Target, progress: Progress) -> None:
        self._target, self._progress = target, progress
        self._touched: list[Cutover] = []
        self._error: BaseException | None = None

    @contextmanager
    def pages(self) -> Iterator[None]:
        """Wrap the lock: afterwards write a page for each cutover that the command touched."""
        try:
            yield
        finally:
            self._write_pages()

    @contextmanager
    def alerts(self) -> Iterator[None]:
        """Run while the lock is held, since hooks write the journal: alert on an error, resolve alerts on success."""
        before = {cutover.id: asdict(cutover) for cutover in self._history()}
        try:
            yield
        except BaseException as error:
            self._error = error
            newest = self._find_touched(before)
            notify_alerts.raise_alert(self._target, self._progress, error, newest)
            raise
        newest = self._find_touched(before)
        if newest and newest.served and not newest.error:
            notify_alerts.resolve(self._target, self._progress)

    def _find_touched(self, before: dict[str, dict[str, Any]]) -> Cutover | None:
        self._touched = [cutover for cutover in self._history() if asdict(cutover) != before.get(cutover.id)]
        return self._touched[-1] if self._touched else None

    def _history(self) -> list[Cutover]:
        try:
            return self._target.history()
        except OrchestratorError:
            return []  # the caller that needs the history reports the error

    def _write_pages(self) -> None:
        if not self._touched:
            return
        try:
            from build.report import gather  # noqa: PLC0415 - 0.2 s, which the cutover must not wait for

            for number, cutover in enumerate(self._touched, 1):
                error = self._error if number == len(self._touched) else None
                path = gather.write(self._target, cutover.id, error)
            self._progress.note(f"report: {path}")
        except Exception as error:  # noqa: BLE001 - a failing report must not change the result of a cutover
            self._progress.note(f"the report could not be written: {error}")
