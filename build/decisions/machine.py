"""The cutover as a state machine: which step comes next, and what a failure in it calls for.

The table is the whole policy. A procedure performs the step that `next_step` names, journals it, and asks again; a
resumed cutover asks with the state that the journal holds. Other strategies (hold, canary, soak) are other tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a cutover has reached. The last four are final, `switched` onwards the candidate serves."""

    PLANNED = "planned"
    PULLED = "pulled"
    PREFLIGHTED = "preflighted"
    STARTING = "starting"
    WARMING = "warming"
    VERIFIED = "verified"
    CANARY = "canary"
    SWITCHED = "switched"
    SOAKING = "soaking"
    ROLLING_BACK = "rolling-back"
    RETIRED = "retired"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    HELD = "held"


FINAL = frozenset({State.RETIRED, State.ROLLED_BACK, State.FAILED, State.HELD})


class Remedy(StrEnum):
    """What is done when a step fails."""

    STOP = "stop"  # nothing exists yet: just say why
    DISCARD = "discard"  # traffic was never touched: show the candidate's logs and remove it
    RETURN = "return"  # traffic may have moved: give it back to the old colour, then discard
    KEEP = "keep"  # the candidate is good and serves: only clearing up is left


@dataclass(frozen=True)
class Step:
    """One journaled act: allowed in state `begins`, leads to `ends`."""

    name: str
    begins: State
    ends: State
    on_failure: Remedy


STRAIGHT = (
    Step("preflight", State.PULLED, State.PREFLIGHTED, Remedy.STOP),
    Step("start", State.PREFLIGHTED, State.STARTING, Remedy.DISCARD),
    Step("warm", State.STARTING, State.WARMING, Remedy.DISCARD),
    Step("verify", State.WARMING, State.VERIFIED, Remedy.DISCARD),
    Step("switch", State.VERIFIED, State.SWITCHED, Remedy.RETURN),
    Step("retire", State.SWITCHED, State.RETIRED, Remedy.KEEP),
)

# Where a failed cutover ends, by what had to be done about it.
ENDS = {
    Remedy.STOP: State.FAILED,
    Remedy.DISCARD: State.FAILED,
    Remedy.RETURN: State.ROLLED_BACK,
    Remedy.KEEP: State.SWITCHED,
}


def next_step(state: State, table: tuple[Step, ...] = STRAIGHT) -> Step | None:
    """The step that leads on from `state`; None when the cutover is over."""
    return next((step for step in table if step.begins is state), None)
