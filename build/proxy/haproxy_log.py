"""Parse the proxy's log: end, server and duration of each request."""

from __future__ import annotations

import re
from collections.abc import Iterable

from build.model import timestamps
from build.proxy.types import Request

# Docker's timestamp, then the log-format of proxy/haproxy.cfg. A + before a time: logged before the request ended.
_LINE = re.compile(
    r"(\S+Z) (\S+) (\S+) (-?\d+)/(-?\d+)/-?\d+/-?\d+/\+?(-?\d+) (-?\d+) \+?\d+ (\S\S)"
    # The path may follow the authority, in absolute form or HTTP/2.
    r"(?: \S+ \S+ \S+ \"(\S+) (?:https?://[^/\s]*)?([^?\s]*))?"
)
# Paths that the proxy gives to any server (`acl api` of proxy/haproxy.cfg), and those of a synthesis among them.
API = ("/v1/", "/api/")
SPEECH = ("/v1/audio/speech", "/api/predict")
FAILED_FROM = 500
# HAProxy's first letter of a session's termination state: "-" is a normal end, "C" the client left; others are
# failures.
GOOD_ENDS = frozenset("-C")


def read(lines: Iterable[str]) -> list[Request]:
    """Return the requests in lines of a log, in the log's order."""
    found = []
    for line in lines:
        if match := _LINE.match(line):
            at, client, server, request_ms, queued_ms, took_ms, status, end, method, path = match.groups()
            found.append(
                Request(
                    ended=timestamps.unix(at),
                    server="" if server == "<NOSRV>" else server,
                    took_s=max(int(took_ms), 0) / 1000,
                    status=int(status),
                    failed=int(status) >= FAILED_FROM or int(status) < 0 or end[0] not in GOOD_ENDS,
                    served_s=(int(took_ms) - max(int(request_ms), 0) - max(int(queued_ms), 0)) / 1000,
                    api=(path or "").startswith(API),
                    speech=method == "POST" and _plain(path) in SPEECH,
                    client=client,
                )
            )
    return found


def _plain(path: str) -> str:
    """Return the path without trailing and double slashes, as the service reads it."""
    return re.sub("/{2,}", "/", path).rstrip("/")
