"""One combination of fault, record and strategy: struck under load, ended, judged, and written down as a row."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from build.model.states import SERVING, State, Strategy
from build.proxy.types import Hold
from build.state.history import Event
from harness.chaos.chaos_stack import PATIENCE, Bed
from harness.chaos.fault_points import BEFORE, command, has_a_part, nobody_serves, serves
from harness.chaos.faults import FAULTS, Fault, Scene
from harness.chaos.stepped import Point, Stepped, steps
from harness.load import Load, hammering
from harness.stack import wait_for

STRATEGIES = (Strategy.OVERLAP, Strategy.HOLD, Strategy.WARM)
# Until the proxy knows that a colour is gone (10 checks, 0.2 s apart), it sends there, and tries for 3 s more.
CRASH_NOTICED_S = 3.0
# What every request goes through: until it listens again.
DOORS = {
    "dockerd killed": (1.0, "a starting engine writes the rules of the published port anew"),
    "proxy killed": (3.0, "the only door: what it had in hand, and until it is open again"),
    "dockerd restarted": (200.0, "nothing gets in while the engine stops, which its containers may delay, and starts"),
}
BACK_S = 180


# How many records of each fault show what it does; None: every one. Of others two.
FEW = {
    "dockerd killed": 1,
    "dockerd restarted": 1,
    "orchestrator killed": None,
    "candidate killed": 4,
    "operator's clock jumps": 1,
    "target's clock jumps": 1,
    "second operator": 1,
}


@dataclass(frozen=True)
class Case:
    fault: Fault
    point: Point
    strategy: Strategy

    def __str__(self) -> str:
        return f"{self.strategy} {self.point} {self.fault.name}"


@dataclass(frozen=True)
class Row:
    """What became of a combination. `lost` counts every request without a whole, sound answer, `cut` those begun.

    Attributes:
        expect_lost: the most that may be lost, and `because` why that is not 0.
        ended: commands and exit codes, then the state that the journal ends in.
        wrong: what is not as it must be; empty when all is well.
    """

    fault: str
    state: str
    strategy: str
    rate: float
    sent: int
    lost: int
    cut: int
    expect_lost: int
    because: str
    slowest: float
    long_in_flight: int
    ended: str
    proof: str
    seconds: float
    wrong: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return asdict(self)


def run(bed: Bed, case: Case) -> Row:
    """Strikes, ends what was cut off, and looks at what is left."""
    if case.fault.engine is not None:
        bed.on(case.fault.engine)
    live, release = bed.live()
    wanted = next(name for name in bed.references if name != release)
    if case.strategy is Strategy.WARM:
        bed.have_standing_by(wanted)
    standing_by = bed.stack.containers()
    began = time.monotonic()
    with hammering(bed.stack.url, bed.rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > bed.rate)
        environment = {**PATIENCE, **case.fault.environment(bed)}
        argv = command(case.fault.reference or bed.references[wanted], case.strategy, case.point)
        with Stepped(bed.stack, *argv, **environment) as process:
            if case.point != BEFORE:
                assert process.until(case.point), f"{case}: not reached\n{process.end()[1]}"
            scene = Scene(bed, case.strategy, case.point, live, wanted, process)
            record = bed.newest()
            in_flight = _ask_long(load)
            struck = time.time()
            proof = f"at record {record['seq']} ({case.point}): {case.fault.strike(scene)}"
            code, said = process.end()
        ended = [f"{argv[0]} {code}", *_finish(scene, case.fault)]
        _traffic_flows(bed, load)
    print(f"--- {case}: {proof}\n{said}")
    expect_lost, because = bound(case, bed.rate, in_flight)
    seen = load.report
    row = Row(
        fault=case.fault.name,
        state=str(case.point),
        strategy=case.strategy.value,
        rate=round(bed.rate, 1),
        sent=len(seen.samples),
        lost=len(seen.failed),
        cut=sum(each.cut for each in seen.samples),
        expect_lost=expect_lost,
        because=because,
        slowest=round(max(each.seconds for each in seen.samples), 1),
        long_in_flight=len(seen.spanning(struck + 0.1, struck + 0.1)),
        ended="; ".join(ended),
        proof=proof,
        seconds=round(time.monotonic() - began, 1),
    )
    wrong = [*_losses(row, seen.summary()), *left_over(scene, case.fault, standing_by)]
    return replace(row, ended=f"{row.ended}; {_state(bed)}", wrong=tuple(wrong))


def _ask_long(load: Load) -> int:
    """Long requests on their way; how many of all kinds then are."""
    for streamed in (True, False):
        load.ask_long(streamed=streamed)
    return load.in_flight


def _finish(scene: Scene, fault: Fault) -> list[str]:
    """What an operator does next: sees to the cause, then goes on with what is under way."""
    fault.heal(scene)
    stack, found = scene.bed.stack, scene.bed.status()
    if not found.in_progress and not found.lock:  # a killed cutover's last act may have been to end
        return []
    command = list(fault.finish) or scene.switch
    done = stack.run("build.cutover", *command, check=False, **PATIENCE)
    print(done.stderr)
    return [f"{command[0]} {done.returncode}"]


def _traffic_flows(bed: Bed, load: Load) -> None:
    def usable() -> bool:
        found = bed.status()
        return bool(found.live and found.stack[found.live].usable)

    wait_for("a colour that serves", usable, BACK_S)
    served = len(load.report.samples)
    wait_for("traffic afterwards", lambda: len(load.report.samples) > served + bed.rate)


def bound(case: Case, rate: float, in_flight: int) -> tuple[int, str]:
    """The most requests that a fault may cost, and why; 0 where a good colour is left alive."""
    name, serving = case.fault.name, serves(case.strategy, case.point)
    if name.startswith("candidate") and has_a_part(case.strategy, case.point):
        return 1, "the answer that was half way out"
    hit = {"candidate killed": serving, "live colour killed": not serving}
    if name in DOORS:
        seconds, because = DOORS[name]
    elif hit.get(name) and not nobody_serves(case.strategy, case.point):
        seconds, because = CRASH_NOTICED_S, "it serves alone: what it had in hand, and until that is noticed"
    elif name == "live colour killed" and serving:
        seconds, because = 0.0, "what it was finishing"
    else:
        return 0, ""
    return in_flight + math.ceil(rate * seconds), because


def _losses(row: Row, summary: str) -> list[str]:
    return [f"lost more than {row.expect_lost}: {summary}"] if row.lost > row.expect_lost else []


def _state(bed: Bed) -> str:
    return next((str(each["state"]) for each in reversed(bed.stack.journal()) if "state" in each), "nothing")


def left_over(scene: Scene, fault: Fault, before: dict[str, tuple[str, str]]) -> list[str]:
    """Everything that a cutover must not leave behind, whatever became of it."""
    bed, wrong = scene.bed, list[str]()
    found, state = bed.status(), _state(bed)
    wrong += [f"left over: {each}" for each in (found.in_progress, found.lock) if each]
    if found.hold != Hold("none", 0):
        wrong.append(f"held: {found.hold}")
    served = state in SERVING and scene.point != BEFORE  # which has no record of its own
    if fault.ends is not None and served is not fault.ends:
        wrong.append(f"the journal ends in {state}")
    colour = scene.live.other if served else scene.live
    release = found.stack[colour].release
    if found.live != colour or (release is not None and release.sha == scene.wanted) is not served:
        wrong.append(f"{found.live} is live, {colour} has {release}, after {state}")
    if orders := bed.in_state("find /run/orders -type f"):
        wrong.append(f"orders: {orders}")
    return [*wrong, *_containers(scene, served=served, before=before)]


def _containers(scene: Scene, *, served: bool, before: dict[str, tuple[str, str]]) -> list[str]:
    stack, wrong = scene.bed.stack, []
    found = stack.containers()
    known = {f"{stack.project}-{service}-1" for service in ("proxy", "state", "app-blue", "app-green")}
    if strange := sorted(set(found) - known):
        wrong.append(f"containers: {strange}")
    idle = f"{stack.project}-{scene.live.other.slots[0].service}-1"
    stays = served or scene.strategy is Strategy.WARM  # a release that was good, and may have been started anew
    if not stays and idle in found and found[idle] != before.get(idle):
        wrong.append(f"the refused candidate is still there: {idle}")
    stack.compose("up", "-d")
    if stack.containers() != found:
        wrong.append("`docker compose up -d` changed something")
    return wrong


def cases(*, every: bool = False) -> list[Case]:
    """The matrix: all of it, or as many records of each fault as show what it does."""
    chosen = []
    for fault in FAULTS:
        for strategy in STRATEGIES:
            where = fault.where(strategy)
            few = None if every else FEW.get(fault.name, 2)
            extra = _shared(strategy) if fault.name.startswith("candidate") else set()
            chosen += [Case(fault, point, strategy) for point in where if point in _spread(where, few) | extra]
    return chosen


def _spread(where: Sequence[Point], count: int | None) -> set[Point]:
    """`count` of these records, evenly."""
    if count is None or count >= len(where):
        return set(where)
    return {where[(2 * number + 1) * len(where) // (2 * count)] for number in range(count)}


def _shared(strategy: Strategy) -> set[Point]:
    """Where the candidate begins to get requests that the old colour can take over."""
    watched = (Point(Event.INTENT, step.name) for step in steps(strategy) if step.ends in {State.CANARY, State.SOAKING})
    return {point for point in watched if has_a_part(strategy, point)}
