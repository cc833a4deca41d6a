"""Stop signals: the first one interrupts the command, a second one ends its wait for requests in flight.

Signals belong to the process, hence one object for all modules: INTERRUPTS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from build.errors import InterruptedByUserError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One stop can arrive as several signals: shell and terminal both send SIGHUP, and launchers forward Ctrl-C.
REPEAT_S = 0.5
AGAIN = "interrupted again: requests in flight are aborted now"


class Interrupts:
    """The stop signals that this process received.

    A shield delays the interrupt, so that it never cuts a record, an answer or a rollback in two. Only the main thread
    gets signals, so shields of other threads have no effect.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._first: float | None = None
        self._pending = ""  # an interrupt not raised yet
        self._shields = 0
        self._notice = ""
        self.hurried = False

    def install(self) -> None:
        """Handle the stop signals, except ignored ones: `nohup` and shells start a command with signals ignored."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.receive)

    def receive(self, number: int, _frame: FrameType | None = None) -> None:
        """Interrupt the command (later, if it is shielded); from the second signal on, only set `hurried`."""
        if self._first is None:
            self._first, self._pending = self._now(), f"interrupted by {signal.Signals(number).name}"
            if self._shields and self._notice:
                _tell(self._notice)
            self.check()
        elif not self.hurried and self._now() - self._first > REPEAT_S:
            self.hurried = True
            _tell(AGAIN)

    def check(self) -> None:
        """Raise a delayed interrupt unless a shield is up."""
        if self._pending and not self._shields and _is_main():
            message, self._pending = self._pending, ""
            raise InterruptedByUserError(message)

    @contextmanager
    def shielded(self, notice: str = "") -> Iterator[None]:
        """Raise no interrupt in the block; print `notice` if the first signal arrives there."""
        if not _is_main():
            yield
            return
        before, self._notice = self._notice, notice or self._notice
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            self._notice = before

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise an interrupt that arrives in the block at its end."""
        with self.shielded():
            yield
        self.check()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raise interrupts in the block although shields are up around it."""
        shields, self._shields = self._shields, 0
        try:
            self.check()
            yield
        finally:
            self._shields = shields


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _tell(text: str) -> None:
    """Write to stderr, if it is open, without its buffer, which the signal may have interrupted."""
    with contextlib.suppress(OSError):
        os.write(2, f"    {text}\n".encode())


INTERRUPTS = Interrupts()
