"""`run` and what comes back: what passes is asked for again, and nothing that is not whole is taken for speech."""

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
from tests.unit.batch.support import CutError, Mouth, clips, manifest, named, plain, refusal, run, spoken, write_tasks

pytestmark = pytest.mark.usefixtures("soon")


def test_what_passes_is_asked_again_and_is_no_failure(mouth: Mouth, tmp_path: Path) -> None:
    passing = [
        refusal(429, "queue_full", after="0"),
        refusal(503, "draining", after="0"),
        refusal(503, "not_ready"),
        refusal(500, "engine_failed"),
        refusal(504, "deadline_exceeded"),
        refusal(502),
    ]

    async def at_last(body: dict[str, Any], before: int) -> web.StreamResponse:
        number = int(body["input"][5:-1])
        if before == 0 and number < len(passing):
            return passing[number]
        return spoken()

    mouth.answer = at_last
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 10)) == 0
    assert clips(tmp_path / "out") == named(10)
    assert sorted(mouth.asked.values()) == [1] * 4 + [2] * 6


def test_a_drain_may_last_longer_than_retries_would(mouth: Mouth, tmp_path: Path) -> None:
    async def draining(_body: dict[str, Any], before: int) -> web.StreamResponse:
        return refusal(503, "draining", after="0") if before < 20 else spoken()

    mouth.answer = draining
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 3), "--retries", 0) == 0
    assert {entry["tries"] for entry in manifest(tmp_path / "out")} == {21}


def test_between_two_tries_it_waits_as_long_as_it_is_asked_to(
    mouth: Mouth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, asked, came = 0.2, list[tuple[int, float | None]](), list[float]()

    def pause_s(tries: int, retry_after_s: float | None, _chance: float) -> float:
        asked.append((tries, retry_after_s))
        return waits

    async def at_last(_body: dict[str, Any], before: int) -> web.StreamResponse:
        came.append(time.monotonic())
        return (refusal(429, after="7"), refusal(500), spoken())[before]

    monkeypatch.setattr(running, "pause_s", pause_s)
    mouth.answer = at_last
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 1)) == 0
    assert asked == [(1, 7.0), (2, None)]
    assert all(later - earlier >= waits for earlier, later in itertools.pairwise(came))


@pytest.mark.parametrize("how", ["nothing", "half", "short", "html"])
def test_half_an_answer_is_none(mouth: Mouth, tmp_path: Path, how: str) -> None:
    async def broken(_body: dict[str, Any], before: int) -> web.StreamResponse:
        if before:
            return spoken()
        if how == "short":  # whole to HTTP, and yet not all of the speech
            return spoken(0.1, **{"X-Audio-Duration": "0.200"})
        if how == "html":
            return web.Response(text="<p>Welcome to our network</p>", content_type="text/html")
        raise CutError(half=how == "half")

    mouth.answer = broken
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 4)) == 0
    assert set(mouth.asked.values()) == {2}
    assert clips(tmp_path / "out") == named(4)
    assert {entry["tries"] for entry in manifest(tmp_path / "out")} == {2}


@pytest.mark.parametrize("bytes_too", [False, True], ids=["silence", "a byte now and then"])
def test_an_answer_without_end_fails_its_item_alone(
    mouth: Mouth, tmp_path: Path, bytes_too: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    class Endless(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            writer = await super().prepare(request)
            while not given_up.is_set():
                await asyncio.sleep(0.01)
                if bytes_too:
                    await self.write(b"R")
            return writer

    given_up = threading.Event()

    async def one_of_them(body: dict[str, Any], _before: int) -> web.StreamResponse:
        return Endless() if body["input"] == "Text 1." else spoken()

    mouth.answer = one_of_them
    tasks = write_tasks(tmp_path / "tasks.jsonl", 4)
    assert run(mouth, tasks, "--timeout-s", 0.3, "--retries", 1) == 5
    given_up.set()
    assert "failed: clip-001.wav: the " in plain(capsys.readouterr().err)
    assert clips(tmp_path / "out") == [name for name in named(4) if name != "clip-001.wav"]
    assert mouth.asked["Text 1."] == 2


def test_an_answer_that_is_too_long_is_not_read_to_its_end(
    mouth: Mouth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def long(_body: dict[str, Any], _before: int) -> web.StreamResponse:
        return spoken(1.0)

    monkeypatch.setattr(http, "_MAX_ANSWER", 10_000)
    mouth.answer = long
    assert run(mouth, write_tasks(tmp_path / "tasks.jsonl", 1), "--retries", 0) == 5
    assert "the answer has more than 10000 bytes" in plain(capsys.readouterr().err)
