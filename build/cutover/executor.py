"""Execute a cutover's steps: journal each before and after, and handle failures as its table says."""

from __future__ import annotations

from collections.abc import Callable

from build.cutover.run import ROLLBACK, Act, JournalFacts, Run
from build.cutover.state_machine import FINAL_STATE, FailureAction, next_step
from build.cutover.steps import canary_soak, candidate, hold, preflight, traffic
from build.errors import AgentUnreachableError, InconclusiveError, LockLostError, OrchestratorError
from build.model.hook_points import Point
from build.model.states import State, Strategy
from build.notify import hooks
from build.state.history import Event

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

    Args:
        check: raises when this process no longer holds the cutover lock.
    """
    while step := next_step(state, run.table):
        check()
        try:
            run.journal(Event.INTENT, step=step.name)
            facts = STEPS[run.strategy][step.name](run)
            run.journal(Event.DONE, step=step.name, state=step.ends, facts=facts or {})
        except (LockLostError, AgentUnreachableError):
            raise  # the next owner of the lock, or the target's agent, decides what becomes of the traffic
        except InconclusiveError as error:
            run.journal(Event.PAUSED, step=step.name, error=str(error))
            raise
        except BaseException as error:
            undo(run, step.on_failure, error, step.name)
            raise
        state = step.ends
    run.journal(Event.END, state=state)
    if run.kind == ROLLBACK:
        notify_rolled_back(run)


def undo(run: Run, action: FailureAction, error: BaseException, step: str) -> None:
    """Roll back by `action` and journal the end; an error in one part does not stop the others."""
    acts: list[Callable[[], object]] = []
    facts: JournalFacts = {}
    if action is FailureAction.RETURN:
        acts.append(lambda: facts.update(traffic.return_traffic(run)))
    if action in {FailureAction.RETURN, FailureAction.DISCARD}:
        acts.append(lambda: candidate.discard(run, error))
    if action is FailureAction.RELOAD:
        acts.append(lambda: facts.update(hold.reload(run, error)))
    if run.strategy is Strategy.HOLD and action in {FailureAction.DISCARD, FailureAction.RELOAD}:
        acts.append(lambda: run.target.orders.unpark(*run.idle.profiles))
    if action is FailureAction.STAY:
        run.progress.note("a failed rollback is not rolled back: see `python -m build.cutover status` and act")
    if action not in {FailureAction.KEEP, FailureAction.STAY}:
        acts.append(lambda: run.refresh_env(run.live))
    message = str(error) or type(error).__name__
    measured = error.facts if isinstance(error, OrchestratorError) else {}
    acts += [
        lambda: run.journal(Event.FAILED, step=step, error=message, facts=measured),
        lambda: run.journal(Event.END, state=FINAL_STATE[action], facts=facts),
    ]
    for act in acts:
        try:
            act()
        except OrchestratorError as also:
            run.progress.note(f"another error during the rollback: {also.message}")
    if action in {FailureAction.RETURN, FailureAction.RELOAD}:
        notify_rolled_back(run, message)


def notify_rolled_back(run: Run, error: str = "") -> None:
    """Run the operator's on-rollback hook."""
    if run.settings.hooks.on_rollback:
        hooks.notify(Point.ON_ROLLBACK, run.settings, run.target.journal, run.progress, run.journaled, error)
