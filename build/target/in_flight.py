"""What is in flight on a container, and what became of it, as the proxy and the service count it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

STREAM = "stream"


@dataclass(frozen=True)
class Load:
    """What is still on a colour, as the proxy and the service count it.

    Attributes:
        sessions: streams the proxy has on the server (scur).
        queued: requests the proxy keeps for it (qcur).
        requests: HTTP requests that the service is answering, event streams of web tabs not counted; None: no answer.
        streams: event streams of open web tabs; they end only when the tab is closed.
        jobs: syntheses accepted and not finished.
    """

    sessions: int
    queued: int
    requests: int | None
    streams: int = 0
    jobs: int = 0

    @property
    def work(self) -> int:
        """Requests that would be lost if the colour stopped now."""
        return max(self.sessions - self.streams, self.requests or 0, self.jobs) + self.queued


@dataclass(frozen=True)
class Count:
    """One class of requests on one service.

    Attributes:
        idle: of those in flight, event streams of tabs that wait for nothing.
        completed, cut, unfinished: how the others ended since the service started; unfinished: the client left, or it
            failed half way.
    """

    in_flight: int = 0
    idle: int = 0
    completed: int = 0
    cut: int = 0
    unfinished: int = 0


OUTCOMES = ("completed", "cut", "unfinished")
Counts = dict[str, Count]


def read(said: Mapping[str, Mapping[str, Any]]) -> Counts:
    """The counts as a service tells them; what they have beyond that is left alone."""
    return {
        kind: Count(**{each.name: int(found.get(each.name, 0)) for each in fields(Count)})
        for kind, found in said.items()
    }


def together(parts: Iterable[Counts]) -> Counts:
    """The counts of several services as one."""
    total: Counts = {}
    for part in parts:
        for kind, count in part.items():
            known = total.get(kind, Count())
            total[kind] = Count(*(a + b for a, b in zip(astuple(known), astuple(count), strict=True)))
    return total
