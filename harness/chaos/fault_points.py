"""Along a cutover's records: where a fault can happen, and who serves there. All of it by the tables of steps."""

from __future__ import annotations

from build.model.states import State, Strategy
from build.state.history import Event
from harness.chaos.stepped import Point, points, steps

# No record: the pull comes before the lock.
BEFORE = Point(Event.BEGIN, "before")
CANARY, SOAK_S = "50", "3"


def command(reference: str, strategy: Strategy, point: Point) -> list[str]:
    """The cutover that faults strike at: with canary (of an overlap) and soak where `point` is in or next to them.

    What stands by is gone back to.
    """
    if strategy is Strategy.WARM:
        return ["rollback", reference]
    along = points(strategy)
    near = along.index(Point(Event.DONE, "admit")) <= along.index(point) < len(along) - 1 if point in along else False
    canary, soak_s = (CANARY, SOAK_S) if near else ("none", "0")
    return ["switch", reference, "--unverified", "--strategy", strategy.value, "--canary", canary, "--soak", soak_s]


def every(strategy: Strategy) -> list[Point]:
    return points(strategy)


def pulling(strategy: Strategy) -> list[Point]:
    """Where an image may have to be pulled."""
    return [] if strategy is Strategy.WARM else [BEFORE]


def unfinished(strategy: Strategy) -> list[Point]:
    """Where there is more to come."""
    return points(strategy)[:-1]


def with_candidate(strategy: Strategy) -> list[Point]:
    """Where the candidate's container is there and the cutover is not over: from its start to the last intent."""
    return [point for point in unfinished(strategy)[:-1] if started(strategy, point)]


def before_it_serves(strategy: Strategy) -> list[Point]:
    """Where the candidate is there, and gets no request yet, or such as the old colour can take over."""
    watched = {step.name for step in steps(strategy) if step.ends in {State.CANARY, State.SOAKING}}
    return [
        point
        for point in with_candidate(strategy)
        if not serves(strategy, point) or (has_a_part(strategy, point) and point.step in watched)
    ]


def before_it_loads(strategy: Strategy) -> list[Point]:
    """Where the candidate is about to load its model."""
    ends = {State.WARMING, State.LOADED}
    return [Point(Event.INTENT, step.name) for step in steps(strategy) if step.ends in ends]


def started(strategy: Strategy, point: Point) -> bool:
    if strategy is Strategy.WARM:  # long before
        return point != BEFORE
    return _reached(strategy, point, {State.STARTING, State.PARKED})


def serves(strategy: Strategy, point: Point) -> bool:
    """True when all requests go to the candidate."""
    return _reached(strategy, point, {State.SWITCHED})


def nobody_serves(strategy: Strategy, point: Point) -> bool:
    """True inside a hold: the old colour is empty, and everything waits in the proxy."""
    return _reached(strategy, point, {State.HOLDING}) and not serves(strategy, point)


def has_a_part(strategy: Strategy, point: Point) -> bool:
    """True when the candidate gets requests while the old colour, loaded, can take them over."""
    loaded = strategy is Strategy.OVERLAP
    return loaded and _reached(strategy, point, {State.CANARY, State.SOAKING}, Event.INTENT)


def _reached(strategy: Strategy, point: Point, states: set[State], event: Event = Event.DONE) -> bool:
    along = [BEFORE, *points(strategy)]
    first = next((step for step in steps(strategy) if step.ends in states), None)
    return first is not None and along.index(point) >= along.index(Point(event, first.name))
