"""Asks services for their readiness."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from agent.haproxy import PROBE_S
from agent.servers import Answer, Server, Servers


def asked(servers: Servers, names: Iterable[str], ask: Callable[[str], Answer]) -> dict[str, Server]:
    """Return the servers, those of `names` with their services' answers; all are asked at the same time."""
    known = [name for name in names if name in servers]
    if not known:
        return dict(servers)
    with ThreadPoolExecutor(len(known)) as pool:
        answers = list(pool.map(lambda name: ask(servers[name].address), known))
    found = {name: replace(servers[name], answer=answer) for name, answer in zip(known, answers, strict=True)}
    return {**servers, **found}


def readyz(address: str) -> Answer:
    """Ask the service at HOST:PORT for its readiness."""
    connection = http.client.HTTPConnection(address, timeout=PROBE_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return _answer(response.status, response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return Answer()
    finally:
        connection.close()


def _answer(status: int, body: bytes) -> Answer:
    try:
        content: Any = json.loads(body)
    except ValueError:
        content = {}
    facts: dict[str, Any] = content if isinstance(content, dict) else {}
    phase = "ready" if status == http.client.OK else str(facts.get("phase") or "unknown")
    epoch = facts.get("epoch")
    return Answer(phase, str(facts.get("release", "")), epoch if isinstance(epoch, int) else None)
