"""The proxy's log read back: which request ended when, where, and how long it took."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

# As Docker stamps a line, then proxy/haproxy.cfg's log-format. A + before a time: the request was still going on.
_LINE = re.compile(
    r"(\S+Z) (\S+) (\S+) (-?\d+)/(-?\d+)/-?\d+/-?\d+/\+?(-?\d+) (-?\d+) \+?\d+ (\S\S)(?: \S+ \S+ \S+ \"(\S+))?"
)
OK, FAILED_FROM = 200, 500
# HAProxy's first letter of how a session ended: anything but a dash is no good end; C is the client's own leaving.
GOOD_ENDS = frozenset("-C")


@dataclass(frozen=True)
class Request:
    """One request: when it ended (Unix time), which server had it ("" for none), seconds in all, HTTP status.

    `served_s`: those of them that it did not wait in the proxy; `spoken`: it asked for speech and got some; `client`:
    whose address it came from.
    """

    ended: float
    server: str
    took_s: float
    status: int
    failed: bool
    served_s: float = 0.0
    spoken: bool = False
    client: str = ""


def read(lines: Iterable[str]) -> list[Request]:
    """The requests among the lines of a log, in its order."""
    found = []
    for line in lines:
        if match := _LINE.match(line):
            at, client, server, asked_ms, waited_ms, took_ms, status, end, method = match.groups()
            found.append(
                Request(
                    ended=_unix(at),
                    server="" if server == "<NOSRV>" else server,
                    took_s=max(int(took_ms), 0) / 1000,
                    status=int(status),
                    failed=int(status) >= FAILED_FROM or int(status) < 0 or end[0] not in GOOD_ENDS,
                    served_s=(int(took_ms) - max(int(asked_ms), 0) - max(int(waited_ms), 0)) / 1000,
                    spoken=method == "POST" and int(status) == OK,
                    client=client,
                )
            )
    return found


def _unix(at: str) -> float:
    """Docker's nanoseconds, which Python's datetime does not take."""
    whole, _, fraction = at.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00").timestamp()
