"""Stop signals: what the first and the second one do, what a shield delays, and which signals are left ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from build.errors import InterruptedByUserError
from build.system.interrupts import AGAIN, REPEAT_S, STOP_SIGNALS, Interrupts
from tests.unit.build.fake_drivers import Clock

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def interrupts(clock: Clock) -> Interrupts:
    return Interrupts(clock.now)


def test_the_first_signal_interrupts_and_a_second_one_ends_the_waiting(
    interrupts: Interrupts, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InterruptedByUserError, match="interrupted by SIGTERM"):
        interrupts.receive(TERM)
    before = interrupts.hurried
    clock.time += 1
    interrupts.receive(INT)
    assert (before, interrupts.hurried) == (False, True)
    interrupts.receive(INT)
    assert capfd.readouterr().err.count(AGAIN) == 1, "a third signal changes nothing"


def test_one_stop_that_arrives_as_two_signals_ends_no_waiting(interrupts: Interrupts, clock: Clock) -> None:
    with pytest.raises(InterruptedByUserError):
        interrupts.receive(signal.SIGHUP)
    clock.time += REPEAT_S
    interrupts.receive(signal.SIGHUP)
    assert not interrupts.hurried


def test_no_handler_of_failures_catches_an_interrupt() -> None:
    assert not issubclass(InterruptedByUserError, Exception)
    assert InterruptedByUserError.exit_code == 130


def test_a_shield_delays_the_interrupt_to_the_next_block_that_allows_it(
    interrupts: Interrupts, capfd: pytest.CaptureFixture[str]
) -> None:
    with interrupts.shielded("rolling back"):
        with interrupts.shielded():
            interrupts.receive(INT)
        with pytest.raises(InterruptedByUserError), interrupts.allowed():
            pytest.fail("the block begins although an interrupt is pending")
        interrupts.check()  # raised once
    assert "rolling back" in capfd.readouterr().err


def test_within_a_block_that_allows_them_interrupts_arrive_at_once(interrupts: Interrupts) -> None:
    with interrupts.shielded():
        with pytest.raises(InterruptedByUserError), interrupts.allowed():
            interrupts.receive(INT)
        interrupts.check()


def test_a_deferred_interrupt_arrives_after_the_answer(interrupts: Interrupts) -> None:
    answered = []

    def ask() -> None:
        with interrupts.deferred():
            interrupts.receive(INT)
            answered.append(True)

    with pytest.raises(InterruptedByUserError):
        ask()
    assert answered


def test_another_thread_neither_shields_nor_gets_the_interrupt(interrupts: Interrupts) -> None:
    entered, leave = threading.Event(), threading.Event()

    def beat() -> None:
        with interrupts.deferred():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=beat)
    thread.start()
    entered.wait()
    with pytest.raises(InterruptedByUserError):
        interrupts.receive(INT)
    leave.set()
    thread.join()


HANDLED = (
    "import signal; from build.system.interrupts import INTERRUPTS, STOP_SIGNALS; INTERRUPTS.install(); "
    "print(*(number.name for number in STOP_SIGNALS if signal.getsignal(number) == INTERRUPTS.receive))"
)


@pytest.mark.parametrize(
    ("ignored", "handled"),
    [((), "SIGINT SIGTERM SIGHUP"), ((signal.SIGHUP,), "SIGINT SIGTERM"), ((INT,), "SIGTERM SIGHUP")],
    ids=["none", "nohup", "background job of a shell"],
)
def test_signals_that_are_ignored_at_the_start_stay_ignored(ignored: tuple[signal.Signals, ...], handled: str) -> None:
    def parent() -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    done = subprocess.run(
        [sys.executable, "-c", HANDLED], capture_output=True, text=True, check=True, preexec_fn=parent, env=os.environ
    )
    assert done.stdout.strip() == handled
