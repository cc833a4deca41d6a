"""People have priority over batch items, for slots and for places in the queue, but batch items never starve."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.app import Service
from service.engine import Utterance
from service.errors import DeadlineExceededError, QueueFullError
from service.settings import Settings
from service.synthesis.fair_queue import PEOPLE_IN_A_ROW, Priority, PrioritySlots
from tests.unit.service.support import FakeEngine, at_rest, client_of, entered, until

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


async def test_a_batch_item_in_progress_precedes_waiting_ones() -> None:
    turns, order = PrioritySlots(1), list[str]()
    await turns.acquire(Priority.PEOPLE, begun=False)

    async def take_turn(name: str, *, begun: bool) -> None:
        await turns.acquire(Priority.BATCH, begun=begun)
        order.append(name)
        turns.release()

    items = [("first", False), ("second", False), ("begun", True), ("begun, too", True)]
    waiting = [asyncio.create_task(take_turn(name, begun=begun)) for name, begun in items]
    await asyncio.sleep(0)
    turns.release()
    await asyncio.gather(*waiting)
    assert order == ["begun", "begun, too", "first", "second"]


async def test_one_slot_in_eight_goes_to_batch_items_under_constant_load() -> None:
    turns, order = PrioritySlots(1), list[Priority]()
    await turns.acquire(Priority.PEOPLE, begun=False)

    async def take_turn(priority: Priority) -> None:
        await turns.acquire(priority, begun=False)
        order.append(priority)
        turns.release()

    items = [asyncio.create_task(take_turn(Priority.BATCH)) for _ in range(3)]
    people = [asyncio.create_task(take_turn(Priority.PEOPLE)) for _ in range(100)]
    await asyncio.sleep(0)
    turns.release()
    await asyncio.gather(*items, *people)
    places = [place for place, priority in enumerate(order, start=1) if priority is Priority.BATCH]
    assert places == [(PEOPLE_IN_A_ROW + 1) * number for number in (1, 2, 3)]
    assert turns.free == 1


@pytest.mark.parametrize("assigned", [True, False], ids=["as it gets its slot", "while it waits"])
async def test_a_cancelled_waiter_releases_its_slot(assigned: bool) -> None:
    turns = PrioritySlots(1)
    await turns.acquire(Priority.PEOPLE, begun=False)
    waiter = asyncio.create_task(turns.acquire(Priority.BATCH, begun=False))
    await asyncio.sleep(0)
    if assigned:
        turns.release()
    waiter.cancel()
    if not assigned:
        turns.release()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert turns.free == 1
    await turns.acquire(Priority.PEOPLE, begun=False)


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
        async with busy.speech.pieces(Utterance(f"{name}.", "joe"), on_position=positions[name].append) as pieces:
            async for _ in pieces:
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
