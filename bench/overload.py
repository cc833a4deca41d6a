"""Four times the capacity: how much of it is still served, what is given up, and whether Retry-After holds.

Clients send a mix of short texts and texts of 4096 characters, one after the other, and come back after Retry-After.
They ask for the highest speed, and the deadline is shorter in proportion, so that a run takes minutes, not an hour.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bench.http_client import SPEECH
from bench.lone_service import lone_service
from build.console import out
from service.hardware.cpu import available

SHORT = "This is text {} of client {}, as short as most."
SENTENCE = "And one sentence follows the other until the text is as long as a text may be. "
LONG_CHARACTERS = 4096
MIX = ("short", "short", "short", "long")
SPEED = 4.0
DEADLINE_S = 30.0
CAPACITY = 2  # clients per core
BEYOND = 4
SECONDS = 180.0
RESULTS = Path(__file__).parent / "results" / "overload.json"


@dataclass
class Outcome:
    """What clients got: characters that were spoken, statuses, and whether a client that came back was accepted."""

    clients: int
    characters: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    told: list[int] = field(default_factory=list)
    kept: int = 0
    broken: int = 0
    short_s: list[float] = field(default_factory=list)

    @property
    def given_up(self) -> int:
        """Number of texts that were accepted and not spoken."""
        return self.statuses.total() - self.statuses[HTTPStatus.OK] - self.statuses[HTTPStatus.TOO_MANY_REQUESTS]


def measure(runs: int) -> None:
    """Print the goodput at and beyond the capacity for each of `runs`, and write it to RESULTS."""
    rows = []
    for _ in range(runs):
        with lone_service(TTS_DEADLINE_S=str(DEADLINE_S)) as server:
            within, beyond = (
                asyncio.run(_load(server.url, clients * CAPACITY * available())) for clients in (1, BEYOND)
            )
        share = beyond.characters / within.characters
        held = beyond.kept / max(1, beyond.kept + beyond.broken)
        out.print(
            f"{within.clients} clients: {within.characters / SECONDS:.0f} characters a second; {beyond.clients}: "
            f"{beyond.characters / SECONDS:.0f}, {share:.2f} of it; {beyond.given_up} texts given up; Retry-After "
            f"({median(beyond.told or [0]):.0f} s in the median) held in {held:.0%} of {beyond.kept + beyond.broken}; "
            f"short texts took {median(beyond.short_s or [0]):.1f} s, at most {max(beyond.short_s, default=0):.1f} s"
        )
        rows.append({"within": vars(within), "beyond": vars(beyond), "goodput": share, "retry_after_held": held})
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


async def _load(url: str, clients: int) -> Outcome:
    outcome, end = Outcome(clients), time.monotonic() + SECONDS
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        tasks = [asyncio.create_task(_client(session, outcome, number, end)) for number in range(clients)]
        await asyncio.wait(tasks, timeout=SECONDS)
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error
    return outcome


async def _client(session: aiohttp.ClientSession, outcome: Outcome, client: int, end: float) -> None:
    for number, kind in enumerate(itertools.islice(itertools.cycle(MIX), client, None)):
        text = SHORT.format(number, client)
        if kind == "long":
            text = (text + " " + SENTENCE * 60)[:LONG_CHARACTERS]
        await _insist(session, outcome, {"input": text, "speed": SPEED, "response_format": "wav"}, end)


async def _insist(session: aiohttp.ClientSession, outcome: Outcome, body: dict[str, Any], end: float) -> None:
    """Send a text until it is spoken."""
    began, told = time.monotonic(), 0
    while True:
        async with session.post(SPEECH, json=body) as response:
            await response.read()
        outcome.statuses[response.status] += 1
        if response.status != HTTPStatus.TOO_MANY_REQUESTS:
            break
        outcome.broken += bool(told)
        told = int(response.headers["Retry-After"])
        outcome.told.append(told)
        await asyncio.sleep(told)
    outcome.kept += bool(told)
    if response.status == HTTPStatus.OK and time.monotonic() <= end:
        outcome.characters += len(body["input"])
        if len(body["input"]) < LONG_CHARACTERS:
            outcome.short_s.append(time.monotonic() - began)
