"""Records of a cutover at which a fault can happen, and the colours that serve there, from the tables of steps."""

from __future__ import annotations

from build.model.states import State, Strategy
from build.state.history import Event
from harness.chaos.stepped import Point, points, steps

# Not a record: the pull comes before the lock.
BEFORE = Point(Event.BEGIN, "before")
CANARY, SOAK_S = "50", "3"


def command(reference: str, strategy: Strategy, point: Point) -> list[str]:
    """Return the command of the cutover: with canary (overlap only) and soak if `point` is in or next to them.

    A warm cutover is a rollback to the release on standby.
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
    """Return the points at which an image may have to be pulled."""
    return [] if strategy is Strategy.WARM else [BEFORE]


def unfinished(strategy: Strategy) -> list[Point]:
    """Return the records after which the cutover continues."""
    return points(strategy)[:-1]


def intents(strategy: Strategy) -> list[Point]:
    """Return the records at which a step begins."""
    return [Point(Event.INTENT, step.name) for step in steps(strategy)]


def with_candidate(strategy: Strategy) -> list[Point]:
    """Return the records with a candidate in an unfinished cutover: from its start to the last intent."""
    return [point for point in unfinished(strategy)[:-1] if started(strategy, point)]


def before_it_serves(strategy: Strategy) -> list[Point]:
    """Return the records with a candidate that gets no requests yet, or only those the old colour can take over."""
    watched = {step.name for step in steps(strategy) if step.ends in {State.CANARY, State.SOAKING}}
    return [
        point
        for point in with_candidate(strategy)
        if not takes_all_traffic(strategy, point) or (shares_traffic(strategy, point) and point.step in watched)
    ]


def before_it_loads(strategy: Strategy) -> list[Point]:
    """Return the records before the candidate loads its model."""
    ends = {State.WARMING, State.LOADED}
    return [Point(Event.INTENT, step.name) for step in steps(strategy) if step.ends in ends]


def started(strategy: Strategy, point: Point) -> bool:
    if strategy is Strategy.WARM:  # started by an earlier cutover
        return point != BEFORE
    return _reached(strategy, point, {State.STARTING, State.PARKED})


def takes_all_traffic(strategy: Strategy, point: Point) -> bool:
    """Return whether all requests go to the candidate."""
    return _reached(strategy, point, {State.SWITCHED})


def is_held(strategy: Strategy, point: Point) -> bool:
    """Return whether a hold is active: the old colour is idle and requests wait in the proxy."""
    return _reached(strategy, point, {State.HOLDING}) and not takes_all_traffic(strategy, point)


def shares_traffic(strategy: Strategy, point: Point) -> bool:
    """Return whether the candidate gets requests that the loaded old colour can take over."""
    loaded = strategy is Strategy.OVERLAP
    return loaded and _reached(strategy, point, {State.CANARY, State.SOAKING}, Event.INTENT)


def _reached(strategy: Strategy, point: Point, states: set[State], event: Event = Event.DONE) -> bool:
    along = [BEFORE, *points(strategy)]
    first = next((step for step in steps(strategy) if step.ends in states), None)
    return first is not None and along.index(point) >= along.index(Point(event, first.name))
