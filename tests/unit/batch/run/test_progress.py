"""Progress of a run: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from batch.run import progress
from batch.run.progress import ConsoleProgress
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


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return plain(console.file.getvalue())


def test_without_a_terminal_it_prints_rate_and_remaining_time_every_ten_seconds(clock: Clock) -> None:
    out = console(terminal=False)
    with ConsoleProgress(out, total=100, done=20) as progress_:
        progress_.limit = 4
        for _ in range(10):
            clock.now += 1
            progress_.finished(3.0)
        assert printed(out) == "30 of 100: 1.00/s, 3.0 x real time, 4 in flight, 70 s remaining"
        progress_.waiting("429 queue_full: the queue is full")
        progress_.failed("a.wav: 422 [why]")
        clock.now += 10
        progress_.waiting("503 draining")
    lines = printed(out)
    assert "failed: a.wav: 422 [why]" in lines
    assert "30 of 100: 0.50/s, 1.5 x real time, 4 in flight, 1 failed, waiting: 503 draining, 138 s remaining" in lines


def test_on_a_terminal_it_shows_a_bar_with_count_rate_and_remaining_time() -> None:
    out = console(terminal=True)
    with ConsoleProgress(out, total=4, done=1) as progress_:
        progress_.limit = 2
        for _ in range(2):
            progress_.finished(1.5)
        progress_.finished(1.5)
    last = printed(out).rpartition("━")[2]
    assert "4/4" in last
    assert "/s, " in last
    assert "x real time, 2 in flight" in last
    assert "0:00:00" in last
