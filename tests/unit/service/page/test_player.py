"""Speech that grows while the player plays it."""

from __future__ import annotations

import asyncio
import base64
import threading
from functools import partial

import numpy as np
import pytest

from harness.page import player_seconds
from service.audio.encoding import Encoder
from service.engine import Audio
from service.page.player import GrowingSpeech

pytestmark = pytest.mark.anyio
RATE = 24_000
SECOND = (9000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)


async def test_a_value_only_grows_and_ends_with_a_mark() -> None:
    speech = GrowingSpeech()
    file = speech.beside(partial(Encoder, "wav"))(RATE)
    assert file.add(SECOND).endswith(SECOND.tobytes())
    first = speech.value
    assert first
    assert player_seconds(first) == pytest.approx(1, abs=0.2), "a piece can be played before the next one comes"
    file.add(SECOND)
    second = speech.value
    await speech.end()
    assert second
    assert second.startswith(f"{first} ")
    assert str(speech.value).startswith(f"{second} ")
    assert str(speech.value).endswith(" .")
    assert player_seconds(str(speech.value)) == pytest.approx(2, abs=0.01)


async def test_speech_without_a_piece_plays_nothing() -> None:
    speech = GrowingSpeech()
    speech.beside(partial(Encoder, "wav"))(RATE)
    await speech.end()
    assert speech.value is None


async def test_an_encoder_that_outlives_its_cancellation_ends_before_the_speech(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    class SlowEncoder:
        def __init__(self, *_: object) -> None:
            pass

        def add(self, _samples: Audio) -> bytes:
            begun.set()
            assert go.wait(10)
            return b"piece"

        def end(self) -> bytes:
            ended.set()
            return b"end"

    monkeypatch.setattr("service.page.player.Encoder", SlowEncoder)
    speech = GrowingSpeech()
    file = speech.beside(partial(Encoder, "wav"))(RATE)
    adding = threading.Thread(target=file.add, args=(SECOND,))
    adding.start()
    await asyncio.to_thread(begun.wait, 10)
    ending = asyncio.ensure_future(speech.end())
    assert not await asyncio.to_thread(ended.wait, 0.2)
    go.set()
    await ending
    adding.join()
    parts = str(speech.value).split(" ")[1:]
    assert parts == [base64.b64encode(b"piece").decode(), base64.b64encode(b"end").decode(), "."]
