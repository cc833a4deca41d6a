"""The cutover as a state machine: the order of steps, and the action after a failure in each.

A strategy is a table of steps; the tables are the whole policy. The executor performs the step that `next_step`
returns, journals it, and repeats. A resumed cutover starts with the journaled state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from build.model.states import CANARY, FINAL, RETIRE, SOAK, State, Strategy


class FailureAction(StrEnum):
    """How to handle a failed step."""

    STOP = "stop"  # nothing exists yet: report the error
    DISCARD = "discard"  # no traffic was moved: remove the candidate and show its logs
    RETURN = "return"  # traffic may have moved: return it to the old colour, then remove the candidate
    STAY = "stay"  # a rollback is never rolled back: traffic stays, and the operator must act
    RELOAD = "reload"  # the old colour may have unloaded its model: remove the candidate and reload the old model
    KEEP = "keep"  # the candidate serves: only cleaning up failed


@dataclass(frozen=True)
class StrategyRequest:
    """The operator's choice of a strategy; None leaves it to the planner.

    Attributes:
        forced: hold even if requests are expected to wait longer than the proxy's limit.
        again: renew a live release that is healthy and has the current settings.
    """

    strategy: Strategy | None = None
    forced: bool = False
    again: bool = False


@dataclass(frozen=True)
class Step:
    """One journaled action; it starts at the state of the previous step and leads to `ends`."""

    name: str
    ends: State
    on_failure: FailureAction


Table = tuple[Step, ...]


TABLES: dict[Strategy, Table] = {
    Strategy.OVERLAP: (
        Step("preflight", State.PREFLIGHTED, FailureAction.STOP),
        Step("start", State.STARTING, FailureAction.DISCARD),
        Step("warm", State.WARMING, FailureAction.DISCARD),
        Step("verify", State.VERIFIED, FailureAction.DISCARD),
        Step("admit", State.ADMITTED, FailureAction.DISCARD),
        Step(CANARY, State.CANARY, FailureAction.RETURN),
        Step("switch", State.SWITCHED, FailureAction.RETURN),
        Step(SOAK, State.SOAKING, FailureAction.RETURN),
        Step(RETIRE, State.RETIRED, FailureAction.KEEP),
    ),
    Strategy.WARM: (
        Step("confirm", State.ADMITTED, FailureAction.STOP),
        Step("switch", State.SWITCHED, FailureAction.STAY),
        Step(RETIRE, State.RETIRED, FailureAction.KEEP),
    ),
    Strategy.HOLD: (
        Step("preflight", State.PREFLIGHTED, FailureAction.STOP),
        Step("park", State.PARKED, FailureAction.DISCARD),
        Step("hold", State.HOLDING, FailureAction.RELOAD),
        Step("load", State.LOADED, FailureAction.RELOAD),
        Step("verify", State.VERIFIED, FailureAction.RELOAD),
        Step("admit", State.ADMITTED, FailureAction.RELOAD),
        Step("switch", State.SWITCHED, FailureAction.RELOAD),
        Step(SOAK, State.SOAKING, FailureAction.RELOAD),
        Step(RETIRE, State.RETIRED, FailureAction.KEEP),
    ),
}

# How to take traffic back from a candidate that already serves.
ROLLBACK_ACTION = {
    Strategy.OVERLAP: FailureAction.RETURN,
    Strategy.HOLD: FailureAction.RELOAD,
    Strategy.WARM: FailureAction.STAY,
}


def table(strategy: Strategy, *, rollback: bool, canary: bool = False, soak: bool = False) -> Table:
    """Return the steps of a strategy; a rollback never returns moved traffic."""
    skipped = {name for name, wanted in ((CANARY, canary), (SOAK, soak)) if rollback or not wanted}
    steps = tuple(step for step in TABLES[strategy] if step.name not in skipped)
    if not rollback:
        return steps
    return tuple(
        replace(step, on_failure=FailureAction.STAY) if step.on_failure is FailureAction.RETURN else step
        for step in steps
    )


# The final state of a failed cutover, by action.
FINAL_STATE = {
    FailureAction.STOP: State.FAILED,
    FailureAction.DISCARD: State.FAILED,
    FailureAction.RETURN: State.ROLLED_BACK,
    FailureAction.STAY: State.HELD,
    FailureAction.RELOAD: State.ROLLED_BACK,
    FailureAction.KEEP: State.SWITCHED,
}


def next_step(state: State, table: Table) -> Step | None:
    """Return the step that follows `state`; None when the cutover has ended."""
    if state in FINAL:
        return None
    reached = next((number for number, step in enumerate(table) if step.ends is state), -1)
    return table[reached + 1]


def step_named(name: str, table: Table) -> Step | None:
    """Return the step of that name; None if there is none (an empty name: no step began)."""
    return next((step for step in table if step.name == name), None)
