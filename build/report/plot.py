"""The traffic around a cutover as plot coordinates: a dot per request, each server's share over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from build.proxy.types import Request

WIDTH, HEIGHT, SHARE_HEIGHT = 800, 220, 60
LEFT, RIGHT = 74, 792  # margins for the labels and for half a dot
MOST_DOTS, MOST_SLICES, IN_A_SLICE = 1500, 80, 3
NEAR = 90  # minimum distance of two labels in a row
FLOOR_S = 0.01  # lower end of the logarithmic latency axis
COLOURS = {"blue": "blue", "green": "green"}
T = TypeVar("T")


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
    top = max(1.0, *(request.took_s for request in requests))
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
            Mark(y(latency), f"{latency:g} s") for latency in (0.01, 0.1, 1.0, 10.0, 100.0) if latency <= top
        ),
        steps=_marks([(x(at), text) for at, text in steps]),
        bars=_bars(requests, times, first, last),
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
    rough = max(last - first, 1.0) / 8
    decade = 10 ** math.floor(math.log10(rough))
    step = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= rough)
    return [number * step for number in range(math.ceil(first / step), math.floor(last / step) + 1)]


def _bars(requests: Sequence[Request], times: Sequence[float], first: float, last: float) -> tuple[Bar, ...]:
    """Return each server's share of the requests that ended in each time slice; an empty slice has no bars."""
    count = min(max(len(requests) // IN_A_SLICE, 1), MOST_SLICES)
    width = max(last - first, 1.0) / count
    slices: dict[int, Counter[str]] = {}
    for request, at in zip(requests, times, strict=True):
        slices.setdefault(min(int((at - first) / width), count - 1), Counter())[_kind(request.server)] += 1
    pixels = (RIGHT - LEFT) / count
    bars = []
    for number, counted in sorted(slices.items()):
        below = 0.0
        for kind in ("blue", "green", "none"):
            height = SHARE_HEIGHT * counted[kind] / counted.total()
            if height:
                left, top = LEFT + number * pixels, SHARE_HEIGHT - below - height
                bars.append(Bar(round(left, 2), round(top, 2), round(pixels, 2), round(height, 2), kind))
            below += height
    return tuple(bars)
