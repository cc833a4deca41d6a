"""A cutover in a separate process that a test steps from journal record to journal record."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from build.cutover.state_machine import Table, table
from build.model.states import State, Strategy
from build.state.history import Event
from harness.stack import PATIENCE_S, Stack


@dataclass(frozen=True)
class Point:
    """A record of the journal; `step` is empty for the first and the last one."""

    event: Event
    step: str = ""

    def __str__(self) -> str:
        return f"{self.event}:{self.step}" if self.step else str(self.event)

    def matches(self, record: dict[str, Any]) -> bool:
        return (record["event"], record.get("step", "")) == (self.event, self.step)


def steps(strategy: Strategy) -> Table:
    """Return the steps of a cutover with soak, and with canary if the strategy has one; of a rollback if it is warm."""
    return table(strategy, rollback=strategy is Strategy.WARM, canary=True, soak=True)


def points(strategy: Strategy) -> list[Point]:
    """Return all records of a successful cutover in order, with one share in its canary."""
    along = [Point(Event.BEGIN)]
    for step in steps(strategy):
        along.append(Point(Event.INTENT, step.name))
        if step.ends is State.CANARY:
            along.append(Point(Event.SHARE))
        along.append(Point(Event.DONE, step.name))
    return [*along, Point(Event.END)]


class Stepped:
    """`python -m build.cutover COMMAND...` in the stack's clone; it pauses after each journal record."""

    def __init__(self, stack: Stack, *command: str, **env: str) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        path = Path(self._scratch.name, "link")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(PATIENCE_S)
        self._server.bind(str(path))
        self._server.listen()
        self.process = stack.start("harness.chaos.journal_stepper", str(path), *command, **env)
        self._link: IO[str] | None = None
        self._connection: socket.socket | None = None
        self._paused = False

    def until(self, point: Point) -> bool:
        """Continue until `point` is on disk, and pause there; return False if the process ended before."""
        while (record := self._next()) is not None:
            if point.matches(record):
                return True
        return False

    def proceed(self) -> None:
        """Continue from the record, without waiting for the next one."""
        assert self._link
        assert self._paused
        self._link.write("go\n")
        self._link.flush()
        self._paused = False

    def at_next_record(self) -> bool:
        """Return whether the process has written the next record, or has ended."""
        return bool(self._connection and select.select([self._connection], [], [], 0)[0])

    def end(self) -> tuple[int, str]:
        """Continue to the end; return exit code and output."""
        while self._next() is not None:
            pass
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output

    def kill(self) -> int:
        """Kill the paused process by SIGKILL; return its exit code."""
        self.process.kill()
        return self.process.wait(timeout=PATIENCE_S)

    def _next(self) -> dict[str, Any] | None:
        if self._link is None:
            connection, _ = self._server.accept()
            self._connection = connection
            connection.settimeout(PATIENCE_S)
            with connection:  # the file object keeps it open
                self._link = connection.makefile("rw")
        try:
            if self._paused:
                self.proceed()
            line = self._link.readline()
        except OSError:
            line = ""  # it was killed
        self._paused = bool(line)
        return json.loads(line) if line else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)
        if self._link is not None:
            with contextlib.suppress(OSError):  # unsent data for a killed process
                self._link.close()
        self._server.close()
        self._scratch.cleanup()
