"""People have priority over batch items, for slots and for places in the queue, but batch items never starve."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.app import Service
from service.engine import Utterance
from service.errors import DeadlineExceededError, QueueFullError
from service.settings import Settings
from service.synthesis.fair_queue import PEOPLE_IN_A_ROW, FairQueue, Priority
from tests.unit.service.support import PCM, FakeEngine, at_rest, client_of, entered, until

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
BATCH = {"X-TTS-Class": "batch"}


async def loaded(settings: Settings, engine: FakeEngine) -> Service:
    """Return a ready service with a closed gate, without the record of its warm-up."""
    service = Service(settings, engine)
    await service.lifecycle.load()
    await entered(engine)
    engine.spoken.clear()
    engine.gate.clear()
    return service


@pytest.fixture
async def busy(settings: Settings, engine: FakeEngine) -> AsyncIterator[Service]:
    """A service with queue places for eight people and two batch items; its slot is busy until the gate opens."""
    service = await loaded(dataclasses.replace(settings, queue=8), engine)
    first = person(service, "first.")
    await entered(engine)
    yield service
    engine.gate.set()
    await first
    await until(lambda: at_rest(service))
    await service.close()


def person(service: Service, text: str) -> asyncio.Task[Any]:
    return asyncio.create_task(service.speech.synthesize(Utterance(text, "joe")))


def batch(service: Service, text: str) -> asyncio.Task[Any]:
    return asyncio.create_task(
        service.traffic.for_a_tab(text, service.speech.synthesize(Utterance(text, "joe")), batch=True)
    )


async def test_people_precede_earlier_batch_items(busy: Service, engine: FakeEngine) -> None:
    requests = [batch(busy, "batch one."), batch(busy, "batch two.")]
    await until(lambda: busy.scheduler.waiting == 2)
    requests += [person(busy, f"person {number}.") for number in range(3)]
    await until(lambda: busy.scheduler.waiting == 5)
    engine.gate.set()
    await asyncio.gather(*requests)
    assert engine.spoken == ["first", "person 0", "person 1", "person 2", "batch one", "batch two"]


async def test_the_header_marks_a_batch_item(busy: Service, engine: FakeEngine) -> None:
    async with client_of(busy) as client:
        later = asyncio.create_task(client.post(SPEECH, json={"input": "batch."}, headers=BATCH))
        await until(lambda: busy.scheduler.waiting_of(Priority.BATCH) == 1)
        streamed = asyncio.create_task(
            client.post(SPEECH, json={"input": "streamed.", "stream_format": "audio"}, headers=BATCH)
        )
        await until(lambda: busy.scheduler.waiting_of(Priority.BATCH) == 2)
        sooner = asyncio.create_task(client.post(SPEECH, json={"input": "person."}))
        await until(lambda: busy.scheduler.waiting == 3)
        engine.gate.set()
        assert {response.status_code for response in await asyncio.gather(later, streamed, sooner)} == {200}
    assert engine.spoken == ["first", "person", "batch", "streamed"]


async def test_a_batch_item_yields_between_its_sentences(settings: Settings, engine: FakeEngine) -> None:
    service = await loaded(settings, engine)
    requests = [batch(service, "a1. a2. a3.")]
    await entered(engine)
    requests += [batch(service, "b1. b2.")]
    await until(lambda: service.scheduler.waiting == 1)
    requests += [person(service, "person.")]
    await until(lambda: service.scheduler.waiting == 2)
    engine.gate.set()
    await asyncio.gather(*requests)
    assert engine.spoken[:2] == ["a1", "person"]
    await until(lambda: at_rest(service))
    await service.close()


@dataclass(eq=False)
class Waiting:
    """A text that wants a slot."""

    name: str
    priority: Priority = Priority.PEOPLE
    begun: bool = False
    running: int = 0
    due: float = 0.0
    late_at: float = 1e9

    def urgent(self, now: float) -> bool:
        return now >= self.late_at


def order(turns: list[Waiting], now: float = 0.0) -> list[str]:
    """Return the order in which texts of one chunk get a slot."""
    queue, rest, names = FairQueue(), list(turns), []
    while turn := queue.next(rest, now):
        rest.remove(turn)
        names.append(turn.name)
    return names


async def test_the_earliest_due_gets_the_slot() -> None:
    assert order([Waiting("late", due=2.0), Waiting("early", due=1.0), Waiting("last", due=3.0)]) == [
        "early",
        "late",
        "last",
    ]


async def test_a_text_gets_a_second_slot_only_while_no_other_waits() -> None:
    assert order([Waiting("second slot", running=1), Waiting("first slot", due=9.0)]) == ["first slot", "second slot"]
    batch = Waiting("batch", Priority.BATCH, due=9.0)
    assert order([Waiting("second slot", running=1), batch]) == ["batch", "second slot"]


async def test_a_batch_item_in_progress_precedes_waiting_ones() -> None:
    items = [("first", False), ("second", False), ("begun", True), ("begun, too", True)]
    turns = [Waiting(name, Priority.BATCH, begun, due=place) for place, (name, begun) in enumerate(items)]
    assert order(turns) == ["begun", "begun, too", "first", "second"]


async def test_one_slot_in_eight_goes_to_batch_items_under_constant_load() -> None:
    items = [Waiting("batch", Priority.BATCH) for _ in range(3)]
    names = order([*items, *(Waiting("person") for _ in range(100))])
    places = [place for place, name in enumerate(names, start=1) if name == "batch"]
    assert places == [(PEOPLE_IN_A_ROW + 1) * number for number in (1, 2, 3)]


async def test_a_batch_item_that_would_miss_its_deadline_takes_its_turn_among_people() -> None:
    turns = [Waiting("batch", Priority.BATCH, begun=True, due=1.0, late_at=5.0), Waiting("person", due=2.0)]
    assert order(turns, now=4.0) == ["person", "batch"]
    assert order(turns, now=5.0) == ["batch", "person"]


async def test_batch_items_do_not_take_the_places_of_people(busy: Service, engine: FakeEngine) -> None:
    requests = [batch(busy, f"batch {number}.") for number in range(2)]
    await until(lambda: busy.scheduler.waiting == 2)
    async with client_of(busy) as client:
        # In a separate task, as in a server: otherwise the class would also apply to the requests below.
        response = await asyncio.create_task(client.post(SPEECH, json={"input": "batch."}, headers=BATCH))
        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
        assert int(response.headers["retry-after"]) >= 1
        requests += [person(busy, f"person {number}.") for number in range(8)]
        await until(lambda: busy.scheduler.waiting_of(Priority.PEOPLE) == 8)
        response = await client.post(SPEECH, json={"input": "person."})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
    rejected = [
        busy.metrics.registry.get_sample_value("tts_rejected_total", {"reason": reason})
        for reason in ("batch", "queue_full")
    ]
    assert rejected == [1, 1]
    engine.gate.set()
    await asyncio.gather(*requests)


async def test_the_reported_position_is_the_queue_position(busy: Service, engine: FakeEngine) -> None:
    positions: dict[str, list[int]] = {}

    async def say(name: str) -> None:
        positions[name] = []
        utterance = Utterance(f"{name}.", "joe")
        async with busy.speech.parts(utterance, PCM, on_position=positions[name].append) as parts:
            async for _ in parts:
                pass

    requests = [asyncio.create_task(busy.traffic.for_a_tab("x", say("batch"), batch=True))]
    await until(lambda: busy.scheduler.waiting == 1)
    requests += [asyncio.create_task(say("one"))]
    await until(lambda: busy.scheduler.waiting == 2)
    requests += [asyncio.create_task(say("two"))]
    await until(lambda: busy.scheduler.waiting == 3)
    assert positions == {"batch": [0, 1, 2], "one": [0], "two": [1]}
    engine.gate.set()
    await asyncio.gather(*requests)
    assert positions == {"batch": [0, 1, 2, 1, 0], "one": [0], "two": [1, 0]}


async def test_a_waiting_batch_item_gets_429_at_the_deadline_and_a_started_one_504(
    settings: Settings, engine: FakeEngine
) -> None:
    service = await loaded(dataclasses.replace(settings, deadline_s=0.2), engine)
    began = batch(service, "a.")
    await entered(engine)
    had_no_turn = batch(service, "b.")
    with pytest.raises(DeadlineExceededError):
        await began
    with pytest.raises(QueueFullError, match="retry it") as error:
        await had_no_turn
    assert error.value.retry_after
    engine.gate.set()
    await until(lambda: at_rest(service))
    await service.close()
