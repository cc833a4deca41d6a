"""`run` retries temporary errors and never accepts an incomplete response."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batch.run import client as http
from batch.run import run as running
from tests.unit.batch.support import (
    CutError,
    FakeService,
    clips,
    manifest,
    named,
    plain,
    refusal,
    run,
    spoken,
    write_tasks,
)

pytestmark = pytest.mark.usefixtures("short_pauses")


def test_temporary_errors_are_retried_and_are_no_failures(service: FakeService, tmp_path: Path) -> None:
    errors = [
        refusal(429, "queue_full", after="0"),
        refusal(503, "draining", after="0"),
        refusal(503, "not_ready"),
        refusal(500, "engine_failed"),
        refusal(504, "deadline_exceeded"),
        refusal(502),
    ]

    async def later(body: dict[str, Any], before: int) -> web.StreamResponse:
        number = int(body["input"][5:-1])
        if before == 0 and number < len(errors):
            return errors[number]
        return spoken()

    service.respond = later
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 10)) == 0
    assert clips(tmp_path / "out") == named(10)
    assert sorted(service.requests.values()) == [1] * 4 + [2] * 6


@pytest.mark.parametrize(
    ("caller", "sent"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("not a trace\n", False),
        ("", False),
    ],
)
def test_requests_belong_to_the_trace_of_the_caller(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: str, sent: bool
) -> None:
    monkeypatch.setenv("TRACEPARENT", caller)
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 2)) == 0
    assert [headers.get("traceparent") for headers in service.headers] == [caller if sent else None] * 2


def test_waiting_for_a_drain_does_not_count_as_a_retry(service: FakeService, tmp_path: Path) -> None:
    async def draining(_body: dict[str, Any], before: int) -> web.StreamResponse:
        return refusal(503, "draining", after="0") if before < 20 else spoken()

    service.respond = draining
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 3), "--retries", 0) == 0
    assert {entry["tries"] for entry in manifest(tmp_path / "out")} == {21}


def test_pauses_between_tries_follow_retry_after(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, pauses, arrivals = 0.2, list[tuple[int, float | None]](), list[float]()

    def pause_s(tries: int, retry_after_s: float | None, _chance: float) -> float:
        pauses.append((tries, retry_after_s))
        return waits

    async def later(_body: dict[str, Any], before: int) -> web.StreamResponse:
        arrivals.append(time.monotonic())
        return (refusal(429, after="7"), refusal(500), spoken())[before]

    monkeypatch.setattr(running, "pause_s", pause_s)
    service.respond = later
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 1)) == 0
    assert pauses == [(1, 7.0), (2, None)]
    assert all(later - earlier >= waits for earlier, later in itertools.pairwise(arrivals))


@pytest.mark.parametrize("fault", ["nothing", "half", "short", "html"])
def test_an_incomplete_response_is_retried(service: FakeService, tmp_path: Path, fault: str) -> None:
    async def broken(_body: dict[str, Any], before: int) -> web.StreamResponse:
        if before:
            return spoken()
        if fault == "short":  # complete for HTTP, but shorter than declared
            return spoken(0.1, **{"X-Audio-Duration": "0.200"})
        if fault == "html":
            return web.Response(text="<p>Welcome to our network</p>", content_type="text/html")
        raise CutError(half=fault == "half")

    service.respond = broken
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 4)) == 0
    assert set(service.requests.values()) == {2}
    assert clips(tmp_path / "out") == named(4)
    assert {entry["tries"] for entry in manifest(tmp_path / "out")} == {2}


@pytest.mark.parametrize("sends_bytes", [False, True], ids=["no bytes", "a byte now and then"])
def test_an_endless_response_fails_only_its_item(
    service: FakeService, tmp_path: Path, sends_bytes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    class Endless(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            writer = await super().prepare(request)
            while not ended.is_set():
                await asyncio.sleep(0.01)
                if sends_bytes:
                    await self.write(b"R")
            return writer

    ended = threading.Event()

    async def one_of_them(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return Endless() if body["input"] == "Text 1." else spoken()

    service.respond = one_of_them
    tasks = write_tasks(tmp_path / "tasks.jsonl", 4)
    assert run(service, tasks, "--timeout-s", 0.3, "--retries", 1) == 5
    ended.set()
    assert "failed: clip-001.wav: the " in plain(capsys.readouterr().err)
    assert clips(tmp_path / "out") == [name for name in named(4) if name != "clip-001.wav"]
    assert service.requests["Text 1."] == 2


def test_a_response_over_the_size_limit_is_dropped(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def long(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    monkeypatch.setattr(http, "_MAX_RESPONSE_BYTES", 10_000)
    service.respond = long
    assert run(service, write_tasks(tmp_path / "tasks.jsonl", 1), "--retries", 0) == 5
    assert "the response has more than 10000 bytes" in plain(capsys.readouterr().err)
