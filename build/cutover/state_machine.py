"""The cutover as a state machine: which step comes next, and what a failure in it calls for.

A strategy is a table of steps, and the tables are the whole policy. A procedure performs the step that `next_step`
names, journals it, and asks again; a resumed cutover asks with the state that the journal holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from build.model.states import CANARY, FINAL, SOAK, State, Strategy


class Remedy(StrEnum):
    """What is done when a step fails."""

    STOP = "stop"  # nothing exists yet: just say why
    DISCARD = "discard"  # traffic was never touched: show the candidate's logs and remove it
    RETURN = "return"  # traffic may have moved: give it back to the old colour, then discard
    STAY = "stay"  # a way back is never undone: traffic stays where it is, and somebody must look
    RELOAD = "reload"  # the old colour may have given its model up: discard the candidate, have the old one load again
    KEEP = "keep"  # the candidate is good and serves: only clearing up is left


@dataclass(frozen=True)
class Asked:
    """What a user wants of that; no strategy leaves it to what is measured.

    `forced`: hold also where requests are expected to wait longer than the proxy keeps them.
    """

    strategy: Strategy | None = None
    forced: bool = False


@dataclass(frozen=True)
class Step:
    """One journaled act: begins where the step before it in its table ends, and leads to `ends`."""

    name: str
    ends: State
    on_failure: Remedy


Table = tuple[Step, ...]


TABLES: dict[Strategy, Table] = {
    Strategy.OVERLAP: (
        Step("preflight", State.PREFLIGHTED, Remedy.STOP),
        Step("start", State.STARTING, Remedy.DISCARD),
        Step("warm", State.WARMING, Remedy.DISCARD),
        Step("verify", State.VERIFIED, Remedy.DISCARD),
        Step("admit", State.ADMITTED, Remedy.DISCARD),
        Step(CANARY, State.CANARY, Remedy.RETURN),
        Step("switch", State.SWITCHED, Remedy.RETURN),
        Step(SOAK, State.SOAKING, Remedy.RETURN),
        Step("retire", State.RETIRED, Remedy.KEEP),
    ),
    Strategy.WARM: (
        Step("confirm", State.ADMITTED, Remedy.STOP),
        Step("switch", State.SWITCHED, Remedy.STAY),
        Step("retire", State.RETIRED, Remedy.KEEP),
    ),
    Strategy.HOLD: (
        Step("preflight", State.PREFLIGHTED, Remedy.STOP),
        Step("park", State.PARKED, Remedy.DISCARD),
        Step("hold", State.HOLDING, Remedy.RELOAD),
        Step("load", State.LOADED, Remedy.RELOAD),
        Step("verify", State.VERIFIED, Remedy.RELOAD),
        Step("admit", State.ADMITTED, Remedy.RELOAD),
        Step("switch", State.SWITCHED, Remedy.RELOAD),
        Step(SOAK, State.SOAKING, Remedy.RELOAD),
        Step("retire", State.RETIRED, Remedy.KEEP),
    ),
}

# What takes traffic back from a candidate that has begun to serve.
WAY_BACK = {Strategy.OVERLAP: Remedy.RETURN, Strategy.HOLD: Remedy.RELOAD, Strategy.WARM: Remedy.STAY}


def table(strategy: Strategy, *, back: bool, canary: bool = False, soak: bool = False) -> Table:
    """The steps of a strategy; on the way `back` to an earlier release, moved traffic is never given back."""
    left_out = {name for name, asked in ((CANARY, canary), (SOAK, soak)) if back or not asked}
    steps = tuple(each for each in TABLES[strategy] if each.name not in left_out)
    if not back:
        return steps
    return tuple(replace(each, on_failure=Remedy.STAY) if each.on_failure is Remedy.RETURN else each for each in steps)


# Where a failed cutover ends, by what had to be done about it.
ENDS = {
    Remedy.STOP: State.FAILED,
    Remedy.DISCARD: State.FAILED,
    Remedy.RETURN: State.ROLLED_BACK,
    Remedy.STAY: State.HELD,
    Remedy.RELOAD: State.ROLLED_BACK,
    Remedy.KEEP: State.SWITCHED,
}


def next_step(state: State, table: Table) -> Step | None:
    """The step that leads on from `state`; None when the cutover is over."""
    if state in FINAL:
        return None
    reached = next((number for number, step in enumerate(table) if step.ends is state), -1)
    return table[reached + 1]


def step_named(name: str, table: Table) -> Step | None:
    """The step of that name; None for one that was never begun (an empty name)."""
    return next((step for step in table if step.name == name), None)
