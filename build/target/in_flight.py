"""Requests in flight on a container, and outcomes of ended ones, as counted by proxy and service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

STREAM = "stream"


@dataclass(frozen=True)
class Load:
    """Work on a colour, as counted by proxy and service.

    Attributes:
        sessions: the proxy's streams to the server (scur).
        queued: the proxy's requests queued for the server (qcur).
        requests: HTTP requests in the service, without the event streams of web tabs; None: no answer.
        streams: event streams of open web tabs; they end only when the tab closes.
        jobs: syntheses accepted and not finished.
    """

    sessions: int
    queued: int
    requests: int | None
    streams: int = 0
    jobs: int = 0

    @property
    def work(self) -> int:
        """Number of requests that a stop of the colour would lose."""
        return max(self.sessions - self.streams, self.requests or 0, self.jobs) + self.queued


@dataclass(frozen=True)
class Count:
    """Counts of one request class on one service.

    Attributes:
        in_flight: requests in flight.
        idle: of those, event streams of web tabs that wait for nothing.
        completed, cut, unfinished: outcomes since the service started; cut: aborted; unfinished: the client left or the
            request failed.
    """

    in_flight: int = 0
    idle: int = 0
    completed: int = 0
    cut: int = 0
    unfinished: int = 0


OUTCOMES = ("completed", "cut", "unfinished")
Counts = dict[str, Count]


def read(counts: Mapping[str, Mapping[str, Any]]) -> Counts:
    """Parse a service's counts by class; unknown fields are ignored."""
    return {
        kind: Count(**{field.name: int(found.get(field.name, 0)) for field in fields(Count)})
        for kind, found in counts.items()
    }


def together(parts: Iterable[Counts]) -> Counts:
    """Sum the counts of several services."""
    total: Counts = {}
    for part in parts:
        for kind, count in part.items():
            known = total.get(kind, Count())
            total[kind] = Count(*(a + b for a, b in zip(astuple(known), astuple(count), strict=True)))
    return total
