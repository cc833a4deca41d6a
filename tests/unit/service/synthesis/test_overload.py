"""The real scheduler in virtual time with more work than its slots can do."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest

from service.errors import QueueFullError
from service.synthesis.admission import RETRY_AFTER_MAX_S, Size
from tests.unit.service.synthesis.virtual import Simulated, as_batch, run, simulated

SHORT, LONG = 40, 4096
MIX = (SHORT, SHORT, SHORT, LONG)
SLOTS, PACE = 2, 130.0  # a long text takes half a minute of one slot
TIME_S = 800.0


@dataclass
class Load:
    """Clients that send texts one after the other and come back as they are told."""

    sim: Simulated
    lengths: tuple[int, ...] = MIX
    characters: int = 0
    service_s: list[float] = field(default_factory=list)
    short_s: list[float] = field(default_factory=list)
    kept: int = 0
    broken: int = 0

    async def run(self, clients: int) -> None:
        await asyncio.gather(*(self._client(number) for number in range(clients)))

    async def _client(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(number * 0.01)
        for length in itertools.islice(itertools.cycle(self.lengths), number, None):
            if loop.time() > TIME_S:
                return
            await self._say(length)

    async def _say(self, length: int) -> None:
        loop, task, told = asyncio.get_running_loop(), self.sim.task(length), 0
        began = loop.time()
        while loop.time() <= TIME_S:
            try:
                took_s = await self.sim.say(task)
            except QueueFullError as error:
                self.broken += bool(told)
                told = error.retry_after or 0
                assert 1 <= told <= RETRY_AFTER_MAX_S
                await asyncio.sleep(told)
                continue
            self.kept += bool(told)
            self.service_s.append(took_s)
            if length == SHORT:
                self.short_s.append(loop.time() - began)
            if loop.time() <= TIME_S:
                self.characters += length
            return


@pytest.mark.parametrize(("clients", "lengths"), [(16, MIX), (32, MIX), (16, (LONG,))], ids=str)
def test_beyond_capacity_accepted_texts_are_finished_and_the_others_are_told_when(
    clients: int, lengths: tuple[int, ...]
) -> None:
    async def main() -> None:
        load = Load(simulated(SLOTS, pace=PACE), lengths)
        await load.run(clients)
        assert load.characters / TIME_S >= 0.9 * SLOTS * PACE
        assert load.kept >= 0.8 * (load.kept + load.broken)
        assert load.kept > 10
        assert max(load.service_s) < 1.2 * load.sim.scheduler.deadline_s
        assert max(load.short_s, default=0) < 0.3 * load.sim.scheduler.deadline_s, "short texts must not wait for long"

    run(main())


def test_estimates_that_are_too_low_are_corrected() -> None:
    async def main() -> None:
        sim = simulated(SLOTS, pace=PACE)
        usual = sim.pool._seconds
        sim.pool._seconds = lambda job, number: 2 * usual(job, number)
        load = Load(sim)
        await load.run(16)
        assert load.characters / TIME_S >= 0.9 * SLOTS * PACE / 2
        assert sim.scheduler._pace.estimate(Size("joe", LONG)) == pytest.approx(2 * LONG / PACE, rel=0.1)
        assert max(load.service_s[-20:]) < 1.1 * 3 * LONG / (PACE / 2), "a slower engine has longer deadlines"

    run(main())


def test_places_are_not_kept_for_clients_that_do_not_come_back() -> None:
    async def main() -> None:
        sim = simulated(SLOTS, pace=PACE)
        patient = [asyncio.create_task(sim.insist(sim.task(LONG))) for _ in range(6)]
        await asyncio.sleep(0)
        for _ in range(100):
            with pytest.raises(QueueFullError):
                await sim.say(sim.task(LONG))
        await asyncio.gather(*patient)
        began = asyncio.get_running_loop().time()
        sim.pool.busy_s = 0.0
        late = Load(sim, (LONG,))
        await late.run(4)
        assert sim.pool.busy_s >= 0.9 * SLOTS * (TIME_S - began)

    run(main())


def test_a_text_longer_than_the_usual_deadline_is_accepted_by_a_slow_engine() -> None:
    async def main() -> None:
        sim = simulated(1, pace=10.0, parallel=False)  # four minutes a minute's deadline
        took_s = await sim.say(sim.task(LONG))
        assert took_s == pytest.approx(LONG / 10.0)
        first, short = asyncio.create_task(sim.say(sim.task(LONG))), sim.task(SHORT)
        await asyncio.sleep(1)
        assert await sim.say(short) < 20, "the next slot after the sentence that runs"
        await first

    run(main())


def test_a_text_that_has_begun_is_finished_after_its_deadline() -> None:
    async def main() -> None:
        sim = simulated(1, pace=100.0)
        sim.pool._seconds = lambda _job, _number: 20.0
        assert await sim.say(sim.task(800)) == pytest.approx(200.0)

    run(main())


def test_a_text_that_could_not_be_spoken_in_time_costs_nothing() -> None:
    async def main() -> None:
        sim = simulated(1, pace=PACE)
        accepted = [asyncio.create_task(sim.say(sim.task(LONG))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="could not be spoken within 100 s") as error:
            await sim.say(sim.task(LONG))
        busy_s = sim.pool.busy_s
        assert 5 <= (error.value.retry_after or 0) <= 60
        await asyncio.gather(*accepted)
        assert sim.pool.busy_s - busy_s < 2 * LONG / PACE

    run(main())


def test_a_batch_item_that_has_begun_is_finished_beside_people() -> None:
    async def main() -> None:
        sim = simulated(1, pace=PACE)
        item = asyncio.create_task(as_batch(sim.say(sim.task(1600))))
        await asyncio.sleep(1)
        load = Load(sim, (SHORT, 800))
        people = asyncio.create_task(load.run(12))
        assert await item < sim.scheduler.deadline_s
        await people

    run(main())
