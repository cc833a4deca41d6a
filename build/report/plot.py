"""The traffic around a cutover as plot coordinates: a dot per request, each server's share over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from build.proxy.types import Request

WIDTH, HEIGHT, SHARE_HEIGHT = 800, 220, 60
LEFT, RIGHT = 74, 792  # margins for the labels and for half a dot
MOST_DOTS, MOST_BARS, IN_A_BAR = 1500, 80, 3
PAUSE = 8  # mean intervals without a request that leave a gap in the share
ROW = 22  # height of a row of labels; the text is larger on a small screen
NEAR = 90  # minimum distance of two labels in a row
FLOOR_S, LOWEST_TOP_S = 0.01, 0.1  # lower end of the logarithmic latency axis; its upper end is at least the second
COLOURS = {"blue": "blue", "green": "green"}
T = TypeVar("T")
Ended = tuple[float, str]  # seconds since the cutover began, and the kind of the server


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    kind: str  # blue, green, none or failed: the dot's style
    title: str


@dataclass(frozen=True)
class Mark:
    """A labelled line across the plot; `row` is 1 when the label avoids its neighbour's."""

    at: float
    text: str
    row: int = 0


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True)
class Plot:
    dots: tuple[Dot, ...]
    seconds: tuple[Mark, ...]
    latencies: tuple[Mark, ...]
    steps: tuple[Mark, ...]
    bars: tuple[Bar, ...]
    sent: int
    failed: int

    @property
    def head(self) -> int:
        """Height of the labels above the plot."""
        return ROW * (1 + max((mark.row for mark in self.steps), default=0))


def draw(requests: Sequence[Request], zero: float, steps: Sequence[tuple[float, str]]) -> Plot | None:
    """Return the plot of `requests`; None without requests.

    Args:
        zero: Unix time of the cutover's begin.
        steps: seconds since then, and the name of the step that began.
    """
    if not requests:
        return None
    times = [request.ended - zero for request in requests]
    first, last = min(0.0, *times), max(*times, *(at for at, _ in steps), 0.0)
    across = (RIGHT - LEFT) / max(last - first, 1.0)
    top = _round_up(max(LOWEST_TOP_S, *(request.took_s for request in requests)))
    decades = math.log10(top / FLOOR_S)

    def x(seconds: float) -> float:
        return round(LEFT + (seconds - first) * across, 1)

    def y(seconds: float) -> float:
        return round(HEIGHT - HEIGHT * math.log10(max(seconds, FLOOR_S) / FLOOR_S) / decades, 1)

    shown = [
        *_thinned([request for request in requests if not request.failed]),
        *(request for request in requests if request.failed),
    ]
    return Plot(
        dots=tuple(_dot(request, x(request.ended - zero), y(request.took_s), zero) for request in shown),
        seconds=tuple(Mark(x(tick), f"{tick:g} s") for tick in _ticks(first, last)),
        latencies=tuple(
            Mark(y(latency), f"{latency:g} s")
            for latency in sorted({0.01, 0.1, 1.0, 10.0, 100.0, top})
            if latency == top or y(latency) >= ROW
        ),
        steps=_marks([(x(at), text) for at, text in steps]),
        bars=_bars(requests, zero, first, last),
        sent=len(requests),
        failed=sum(request.failed for request in requests),
    )


def _marks(steps: Iterable[tuple[float, str]]) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    for at, text in steps:
        near = bool(marks) and at - marks[-1].at < NEAR
        marks.append(Mark(at, text, row=1 - marks[-1].row if near else 0))
    return tuple(marks)


def _kind(server: str) -> str:
    return COLOURS.get(server.partition("-")[0], "none")


def _dot(request: Request, x: float, y: float, zero: float) -> Dot:
    words = (
        f"{request.ended - zero:.1f} s: {request.status} from {request.server or 'no server'}, {request.took_s:.2f} s"
    )
    return Dot(x, y, "failed" if request.failed else _kind(request.server), words)


def _thinned(items: list[T]) -> list[T]:
    step = math.ceil(len(items) / MOST_DOTS) or 1
    return items[::step]


def _ticks(first: float, last: float) -> list[float]:
    step = _round_up(max(last - first, 1.0) / 8)
    return [number * step for number in range(math.ceil(first / step), math.floor(last / step) + 1)]


def _round_up(value: float) -> float:
    """The next of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... from `value` on."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= value)


def _bars(requests: Sequence[Request], zero: float, first: float, last: float) -> tuple[Bar, ...]:
    """Return each server's share of consecutive requests; only a long time without a request leaves a gap."""
    across = (RIGHT - LEFT) / max(last - first, 1.0)
    bars = []
    ended = sorted((request.ended - zero, _kind(request.server)) for request in requests)
    for begin, end, counted in _slices(ended, first, last):
        left, right = round(LEFT + (begin - first) * across, 2), round(LEFT + (end - first) * across, 2)
        below = 0.0
        for kind in ("blue", "green", "none"):
            height = SHARE_HEIGHT * counted[kind] / counted.total()
            if height:
                top = SHARE_HEIGHT - below - height
                bars.append(Bar(left, round(top, 2), round(right - left, 2), round(height, 2), kind))
            below += height
    return tuple(bars)


def _slices(ended: Sequence[Ended], first: float, last: float) -> Iterator[tuple[float, float, Counter[str]]]:
    """Yield begin, end and the requests by server of each slice between `first` and `last`.

    Slices have equal numbers of requests, not equal lengths: a short slice without a request would look like an outage.
    """
    interval = max(last - first, 1.0) / len(ended)
    size = max(IN_A_BAR, math.ceil(len(ended) / MOST_BARS))
    for run in _runs(ended, PAUSE * interval):
        begin = first if run[0][0] - first <= PAUSE * interval else run[0][0] - interval
        count = max(len(run) // size, 1)
        for number in range(count):
            part = run[number * len(run) // count : (number + 1) * len(run) // count]
            end = part[-1][0]
            if number == count - 1 and last - end <= PAUSE * interval:
                end = last
            yield begin, end, Counter(kind for _, kind in part)
            begin = end


def _runs(ended: Sequence[Ended], pause: float) -> Iterator[list[Ended]]:
    """Split requests at every pause longer than `pause` seconds."""
    run: list[Ended] = []
    for request in ended:
        if run and request[0] - run[-1][0] > pause:
            yield run
            run = []
        run.append(request)
    yield run
