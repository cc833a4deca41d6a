"""One combination of fault, record and strategy: inject it under load, finish the cutover, return a row of results."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from build.model.states import SERVING, State, Strategy
from build.proxy.types import Hold
from build.state.history import Event
from harness.chaos.chaos_stack import PATIENCE, ChaosStack
from harness.chaos.fault_points import BEFORE, command, is_held, shares_traffic, takes_all_traffic
from harness.chaos.faults import FAULTS, Fault
from harness.chaos.scene import Scene
from harness.chaos.stepped import Point, Stepped, steps
from harness.load import Load, hammering
from harness.stack import wait_for

STRATEGIES = (Strategy.OVERLAP, Strategy.HOLD, Strategy.WARM)
# The proxy sends to a dead colour until its health checks fail, and retries for 3 s.
CRASH_DETECTION_S = 3.0
# Components that every request passes: seconds until they accept connections again, and the reason. The time in which
# the engine is down is measured, and comes on top.
OUTAGES = {
    "dockerd killed": (1.0, "a starting engine rewrites the rules of the published port"),
    "proxy killed": (3.0, "requests in the proxy, and those until it listens again"),
    "dockerd restarted": (10.0, "no connection while the engine is down and its containers start"),
    "power cut and not resumed": (10.0, "no connection while the engine is down and its containers start"),
}
RECOVERY_S = 180


# Number of records per fault that cover its effects; None: all records. Other faults: two.
RECORDS = {
    "dockerd killed": 1,
    "dockerd restarted": 1,
    "power cut and not resumed": 1,
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
    """Result of a combination.

    Attributes:
        lost: requests without a complete, valid response.
        cut: lost requests whose response had started.
        expect_lost: upper bound of `lost`; `because` is the reason if it is not 0.
        ended: commands with exit codes, then the last state of the journal.
        wrong: problems; empty if there are none.
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


def run(chaos: ChaosStack, case: Case) -> Row:
    """Inject the fault, finish an interrupted cutover, and check losses and leftovers."""
    if case.fault.engine is not None:
        chaos.restart_engine(case.fault.engine)
    live, release = chaos.live()
    candidate = next(name for name in chaos.references if name != release)
    if case.strategy is Strategy.WARM:
        chaos.load_standby(candidate)
    containers = chaos.stack.containers()
    began = time.monotonic()
    with hammering(chaos.stack.url, chaos.rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > chaos.rate)
        environment = {**PATIENCE, **case.fault.environment(chaos)}
        argv = command(case.fault.reference or chaos.references[candidate], case.strategy, case.point)
        with Stepped(chaos.stack, *argv, **environment) as process:
            if case.point != BEFORE:
                assert process.until(case.point), f"{case}: not reached\n{process.end()[1]}"
            scene = Scene(chaos, case.strategy, case.point, live, candidate, process)
            record = chaos.newest()
            in_flight = _send_long(load)
            injected_at = time.time()
            proof = f"at record {record['seq']} ({case.point}): {case.fault.inject(scene)}"
            code, output = process.end()
        ended = [f"{argv[0]} {code}", *_finish(scene, case.fault)]
        _traffic_flows(chaos, load)
    print(f"--- {case}: {proof}\n{output}")
    expect_lost, because = bound(case, chaos.rate, in_flight, scene.outage_s)
    report = load.report
    row = Row(
        fault=case.fault.name,
        state=str(case.point),
        strategy=case.strategy.value,
        rate=round(chaos.rate, 1),
        sent=len(report.samples),
        lost=len(report.failed),
        cut=len([sample for sample in report.samples if sample.cut]),
        expect_lost=expect_lost,
        because=because,
        slowest=round(max(sample.seconds for sample in report.samples), 1),
        long_in_flight=len(report.spanning(injected_at + 0.1, injected_at + 0.1)),
        ended="; ".join(ended),
        proof=proof,
        seconds=round(time.monotonic() - began, 1),
    )
    wrong = [*_losses(row, report.summary()), *leftovers(scene, case.fault, containers)]
    return replace(row, ended=f"{row.ended}; {_state(chaos)}", wrong=tuple(wrong))


def _send_long(load: Load) -> int:
    """Send long requests; return the number of requests in flight."""
    for streamed in (True, False):
        load.ask_long(streamed=streamed)
    return load.in_flight


def _finish(scene: Scene, fault: Fault) -> list[str]:
    """Remove the cause, then finish an interrupted cutover; return the command and its exit code."""
    fault.heal(scene)
    stack, found = scene.chaos.stack, scene.chaos.status()
    if not found.in_progress and not found.lock:  # the cutover may have ended before it was killed
        return []
    command = list(fault.finish) or scene.switch
    done = stack.run("build.cutover", *command, check=False, **PATIENCE)
    print(done.stderr)
    return [f"{command[0]} {done.returncode}"]


def _traffic_flows(chaos: ChaosStack, load: Load) -> None:
    def usable() -> bool:
        found = chaos.status()
        return bool(found.live and found.stack[found.live].usable)

    wait_for("a usable live colour", usable, RECOVERY_S)
    served = len(load.report.samples)
    wait_for("traffic afterwards", lambda: len(load.report.samples) > served + chaos.rate)


def bound(case: Case, rate: float, in_flight: int, outage_s: float = 0) -> tuple[int, str]:
    """Return the upper bound of lost requests and its reason; 0 if a good colour stays alive."""
    name, serving = case.fault.name, takes_all_traffic(case.strategy, case.point)
    if name.startswith("candidate") and shares_traffic(case.strategy, case.point):
        return 1, "a response in progress"
    outage = {"candidate killed": serving, "live colour killed": not serving}
    if name in OUTAGES:
        seconds, because = OUTAGES[name]
        seconds += outage_s
    elif outage.get(name) and not is_held(case.strategy, case.point):
        seconds = CRASH_DETECTION_S
        because = "the only serving colour: its requests, and those until the health checks fail"
    elif name == "live colour killed" and serving:
        seconds, because = 0.0, "requests that it was draining"
    else:
        return 0, ""
    return in_flight + math.ceil(rate * seconds), because


def _losses(row: Row, summary: str) -> list[str]:
    return [f"lost more than {row.expect_lost}: {summary}"] if row.lost > row.expect_lost else []


def _state(chaos: ChaosStack) -> str:
    return next((str(record["state"]) for record in reversed(chaos.stack.journal()) if "state" in record), "nothing")


def leftovers(scene: Scene, fault: Fault, before: dict[str, tuple[str, str]]) -> list[str]:
    """Return what a cutover must not leave behind, with any result."""
    chaos, wrong = scene.chaos, list[str]()
    found, state = chaos.status(), _state(chaos)
    wrong += [f"left over: {leftover}" for leftover in (found.in_progress, found.lock) if leftover]
    if found.hold != Hold("none", 0):
        wrong.append(f"held: {found.hold}")
    served = state in SERVING and scene.point != BEFORE  # it has no record
    if fault.ends is not None and served is not fault.ends:
        wrong.append(f"the journal ends in {state}")
    colour = scene.live.other if served else scene.live
    release = found.stack[colour].release
    if found.live != colour or (release is not None and release.sha == scene.release) is not served:
        wrong.append(f"{found.live} is live, {colour} has {release}, after {state}")
    if orders := chaos.run_in_agent("find /run/orders -type f ! -name command"):
        wrong.append(f"orders: {orders}")
    return [*wrong, *_containers(scene, served=served, before=before)]


def _containers(scene: Scene, *, served: bool, before: dict[str, tuple[str, str]]) -> list[str]:
    stack, wrong = scene.chaos.stack, []
    found = stack.containers()
    known = {f"{stack.project}-{service}-1" for service in ("proxy", "agent", "app-blue", "app-green")}
    if unexpected := sorted(set(found) - known):
        wrong.append(f"unexpected containers: {unexpected}")
    idle = f"{stack.project}-{scene.live.other.slots[0].service}-1"
    stays = served or scene.strategy is Strategy.WARM  # a good release, possibly restarted
    if not stays and idle in found and found[idle] != before.get(idle):
        wrong.append(f"the rejected candidate still exists: {idle}")
    stack.compose("up", "-d")
    if stack.containers() != found:
        wrong.append("`docker compose up -d` changed something")
    return wrong


def cases(*, every: bool = False) -> list[Case]:
    """Return the matrix: with `every` all records of each fault, otherwise enough to cover its effects."""
    chosen = []
    for fault in FAULTS:
        for strategy in STRATEGIES:
            where = fault.where(strategy)
            count = None if every else RECORDS.get(fault.name, 2)
            extra = _shared(strategy) if fault.name.startswith("candidate") else set()
            chosen += [Case(fault, point, strategy) for point in where if point in _spread(where, count) | extra]
    return chosen


def _spread(where: Sequence[Point], count: int | None) -> set[Point]:
    """Return `count` of these records, evenly spaced."""
    if count is None or count >= len(where):
        return set(where)
    return {where[(2 * number + 1) * len(where) // (2 * count)] for number in range(count)}


def _shared(strategy: Strategy) -> set[Point]:
    """Return the records where the candidate first gets requests that the old colour can take over."""
    watched = (Point(Event.INTENT, step.name) for step in steps(strategy) if step.ends in {State.CANARY, State.SOAKING})
    return {point for point in watched if shares_traffic(strategy, point)}
