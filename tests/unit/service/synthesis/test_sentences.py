"""Sentences of one text in several slots: spoken in parallel, delivered and encoded in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from service.app import Service
from service.audio.encoding import Encoder
from service.engine import Audio, Chunk, Utterance
from service.settings import Settings
from tests.unit.service.support import PCM, FakeEngine, at_rest, entered, until
from tests.unit.service.synthesis.virtual import run, simulated

pytestmark = pytest.mark.anyio

UNIT = 500  # audible


class Numbered(FakeEngine):
    """The samples of a sentence are its number, and a sentence can be held back."""

    def __init__(self) -> None:
        super().__init__(2)
        self.held: dict[int, threading.Event] = {}

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:
        super().speak(chunk, alone=alone)
        number, _ = chunk.payload
        if number in self.held:
            assert self.held[number].wait(10)
        return np.full(10, UNIT * number, np.int16)


class Threads(Encoder):
    """An encoder that notes its threads and what it got."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.got: list[int] = []
        self.ended = False

    def add(self, samples: Audio) -> bytes:
        self.names.append(threading.current_thread().name)
        self.got.append(int(samples[0]) // UNIT)
        return bytes([int(samples[0]) // UNIT])

    def end(self) -> bytes:
        self.ended = True
        return b"!"


@pytest.fixture
def engine() -> Numbered:
    return Numbered()


@pytest.fixture
async def two_slots(settings: Settings, engine: Numbered) -> AsyncIterator[Service]:
    service = Service(settings, engine)
    await service.lifecycle.load()
    await entered(engine)
    engine.spoken.clear()
    engine.alone.clear()
    yield service
    engine.gate.set()
    await until(lambda: at_rest(service))
    await service.close()


async def encoded(service: Service, text: str, encoder: Threads) -> bytes:
    async with service.speech.parts(Utterance(text, "joe"), lambda _rate: encoder) as parts:
        return b"".join([part.encoded async for part in parts])


async def test_sentences_are_encoded_in_order_in_the_threads_of_the_engine(
    two_slots: Service, engine: Numbered
) -> None:
    engine.held[1] = threading.Event()
    encoder = Threads()
    task = asyncio.create_task(encoded(two_slots, "a. b. c. d.", encoder))
    await until(lambda: engine.spoken[-1:] == ["d"])
    assert (encoder.got, task.done()) == ([], False)
    engine.held[1].set()
    assert await task == b"\x01\x02\x03\x04!"
    assert all(name.startswith("engine") for name in encoder.names)


async def test_nothing_is_encoded_after_the_client_has_left(two_slots: Service, engine: Numbered) -> None:
    engine.gate.clear()
    encoder = Threads()
    task = asyncio.create_task(encoded(two_slots, "a. b. c.", encoder))
    await entered(engine)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    engine.gate.set()
    await until(lambda: at_rest(two_slots))
    assert (encoder.got, encoder.ended) == ([], False)


async def test_a_slow_reader_piles_up_no_speech(two_slots: Service, engine: Numbered) -> None:
    text = " ".join(f"s{number}." for number in range(40))
    async with two_slots.speech.parts(Utterance(text, "joe"), PCM) as parts:
        await anext(parts)
        await until(lambda: at_rest_but_for_the_reader(two_slots))
        assert len(engine.spoken) <= 6
        rest: list[Any] = [int(part.samples[0]) // UNIT async for part in parts]
    assert rest == list(range(2, 41))


def at_rest_but_for_the_reader(service: Service) -> bool:
    return not service.scheduler._running


async def test_only_a_lone_sentence_may_use_all_processors(two_slots: Service, engine: Numbered) -> None:
    await two_slots.speech.synthesize(Utterance("lone.", "joe"))
    await until(lambda: at_rest(two_slots))
    assert engine.alone == [True]
    for texts in (["one. two."], ["a.", "b."]):
        engine.gate.clear()
        both = [asyncio.create_task(two_slots.speech.synthesize(Utterance(text, "joe"))) for text in texts]
        await until(lambda: len(two_slots.scheduler._running) == 2)
        engine.gate.set()
        await asyncio.gather(*both)
        await until(lambda: at_rest(two_slots))
    assert engine.alone[1:3] == [False, False]
    assert engine.alone[3:].count(True) <= 1, "the first may have begun alone"


def test_one_text_uses_all_slots_until_another_comes() -> None:
    async def main() -> None:
        sim = simulated(4, pace=80.0)
        assert await sim.say(sim.task(640)) == pytest.approx(3.0), "one second for the first, then four at a time"
        long = asyncio.create_task(sim.say(sim.task(3200, "long")))
        await asyncio.sleep(2.5)
        assert await sim.say(sim.task(80)) <= 1.5, "the next slot"
        await long

    run(main())


def test_a_sequential_engine_speaks_the_sentences_one_after_the_other() -> None:
    async def main() -> None:
        sim = simulated(4, pace=80.0, parallel=False)
        assert await sim.say(sim.task(640)) == pytest.approx(8.0)
        assert sim.spoken == [str(number) for number in range(1, 9)]

    run(main())
