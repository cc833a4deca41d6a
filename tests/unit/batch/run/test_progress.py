"""What a run tells of itself: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from batch.run import progress
from batch.run.progress import Shown
from tests.unit.batch.support import plain


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
    return clock


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=200)


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return plain(console.file.getvalue())


def test_elsewhere_than_on_a_terminal_it_is_a_line_every_ten_seconds_with_rate_and_time_left(clock: Clock) -> None:
    out = console(terminal=False)
    with Shown(out, total=100, done=20) as shown:
        shown.limit = 4
        for _ in range(10):
            clock.now += 1
            shown.spoke(3.0)
        assert told(out) == "30 of 100: 1.00/s, 3.0 x real time, 4 in flight, 70 s left"
        shown.waiting("429 queue_full: the queue is full")
        shown.failed("a.wav: 422 [why]")
        clock.now += 10
        shown.waiting("503 draining")
    lines = told(out)
    assert "failed: a.wav: 422 [why]" in lines
    assert "30 of 100: 0.50/s, 1.5 x real time, 4 in flight, 1 failed, waiting: 503 draining, 138 s left" in lines


def test_on_a_terminal_it_is_a_bar_with_count_rate_and_time_left() -> None:
    out = console(terminal=True)
    with Shown(out, total=4, done=1) as shown:
        shown.limit = 2
        for _ in range(2):
            shown.spoke(1.5)
        shown.spoke(1.5)
    last = told(out).rpartition("━")[2]
    assert "4/4" in last
    assert "/s, " in last
    assert "x real time, 2 in flight" in last
    assert "0:00:00" in last
