"""Execute a cutover's steps: journal each before and after, and handle failures as its table says."""

from __future__ import annotations

from collections.abc import Callable

from build.cutover.run import ROLLBACK, Act, Run
from build.cutover.state_machine import Step, next_step
from build.cutover.steps import canary_soak, candidate, hold, preflight, traffic
from build.cutover.undo import notify_rolled_back, undo
from build.errors import AgentUnreachableError, InconclusiveError, LockLostError
from build.model.states import State, Strategy
from build.state.history import Event
from build.system.interrupts import INTERRUPTS

_ANY: dict[str, Act] = {"preflight": preflight.check, "verify": candidate.verify, "admit": traffic.admit}

STEPS: dict[Strategy, dict[str, Act]] = {
    Strategy.OVERLAP: {
        **_ANY,
        "start": candidate.start,
        "warm": candidate.warm,
        "canary": canary_soak.canary,
        "switch": traffic.switch,
        "soak": canary_soak.soak,
        "retire": traffic.retire,
    },
    Strategy.WARM: {"confirm": traffic.confirm, "switch": traffic.switch, "retire": traffic.retire},
    Strategy.HOLD: {
        **_ANY,
        "park": hold.park,
        "hold": hold.hold,
        "load": hold.load,
        "switch": hold.switch,
        "soak": canary_soak.soak,
        "retire": hold.retire,
    },
}


def execute(run: Run, state: State, check: Callable[[], None] = lambda: None) -> None:
    """Execute the steps from `state` to the end; journal the intent before each and the outcome after.

    An interrupt takes effect within steps only, so that each has its rollback.

    Args:
        check: raises when this process no longer holds the cutover lock.
    """
    with INTERRUPTS.shielded():
        while step := next_step(state, run.table):
            _perform(run, step, check)
            state = step.ends
        run.journal(Event.END, state=state)
    if run.kind == ROLLBACK:
        notify_rolled_back(run)


def _perform(run: Run, step: Step, check: Callable[[], None]) -> None:
    check()
    try:
        run.journal(Event.INTENT, step=step.name)
        with INTERRUPTS.allowed():
            facts = STEPS[run.strategy][step.name](run)
        run.journal(Event.DONE, step=step.name, state=step.ends, facts=facts or {})
    except (LockLostError, AgentUnreachableError):
        raise  # the next owner of the lock, or the target's agent, decides what becomes of the traffic
    except InconclusiveError as error:
        run.journal(Event.PAUSED, step=step.name, error=str(error))
        raise
    except BaseException as error:
        check()
        undo(run, step.on_failure, error, step.name)
        raise
