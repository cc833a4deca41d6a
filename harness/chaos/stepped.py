"""A cutover in a process of its own that a test walks from journal record to journal record."""

from __future__ import annotations

import contextlib
import json
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
    """A record of the journal: `step` is empty for the first one and the last."""

    event: Event
    step: str = ""

    def __str__(self) -> str:
        return f"{self.event}:{self.step}" if self.step else str(self.event)

    def is_of(self, record: dict[str, Any]) -> bool:
        return (record["event"], record.get("step", "")) == (self.event, self.step)


def steps(strategy: Strategy) -> Table:
    """The steps of a cutover with a canary, where the strategy has one, and a soak; of a way back, if it is warm."""
    return table(strategy, rollback=strategy is Strategy.WARM, canary=True, soak=True)


def points(strategy: Strategy) -> list[Point]:
    """Every record that a cutover of this strategy writes when all goes well, in order; one share in its canary."""
    along = [Point(Event.BEGIN)]
    for step in steps(strategy):
        along.append(Point(Event.INTENT, step.name))
        if step.ends is State.CANARY:
            along.append(Point(Event.SHARE))
        along.append(Point(Event.DONE, step.name))
    return [*along, Point(Event.END)]


class Stepped:
    """`python -m build.cutover COMMAND...` in the stack's clone; it stands still after each journal record."""

    def __init__(self, stack: Stack, *command: str, **env: str) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        path = Path(self._scratch.name, "link")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(PATIENCE_S)
        self._server.bind(str(path))
        self._server.listen()
        self.process = stack.start("harness.chaos.journal_stepper", str(path), *command, **env)
        self._link: IO[str] | None = None
        self._stands = False

    def until(self, point: Point) -> bool:
        """Goes on until `point` is on disk, and stands there; False when the process ended before."""
        while (record := self._next()) is not None:
            if point.is_of(record):
                return True
        return False

    def end(self) -> tuple[int, str]:
        """Goes on to the end: exit code, and all that was said."""
        while self._next() is not None:
            pass
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said

    def kill(self) -> int:
        """Ends it by SIGKILL where it stands; its exit code."""
        self.process.kill()
        return self.process.wait(timeout=PATIENCE_S)

    def _next(self) -> dict[str, Any] | None:
        if self._link is None:
            connection, _ = self._server.accept()
            connection.settimeout(PATIENCE_S)
            with connection:  # the file keeps it open, and closes it
                self._link = connection.makefile("rw")
        try:
            if self._stands:
                self._link.write("go\n")
                self._link.flush()
            line = self._link.readline()
        except OSError:
            line = ""  # it was killed
        self._stands = bool(line)
        return json.loads(line) if line else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)
        if self._link is not None:
            with contextlib.suppress(OSError):  # what it had still to say to a killed one
                self._link.close()
        self._server.close()
        self._scratch.cleanup()
