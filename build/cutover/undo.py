"""Roll back a failed or interrupted cutover, and journal what really happened."""

from __future__ import annotations

from collections.abc import Callable

from build.cutover.run import JournalFacts, Run
from build.cutover.state_machine import FINAL_STATE, FailureAction
from build.cutover.steps import candidate, hold, traffic
from build.errors import (
    AgentUnreachableError,
    InterruptedByUserError,
    LockLostError,
    OrchestratorError,
    ReportedError,
    RollbackIncompleteError,
)
from build.model.colours import Colour
from build.model.hook_points import Point
from build.model.states import State, Strategy
from build.notify import hooks
from build.state.history import Event
from build.system.interrupts import INTERRUPTS

# The next owner of the lock, or the target's agent, decides what becomes of the traffic.
_CEDED = (LockLostError, AgentUnreachableError)
ROLLING_BACK = "interrupted: rolling back; interrupt again to stop waiting for requests in flight"


def undo(run: Run, action: FailureAction, error: BaseException, step: str) -> None:
    """Roll back by `action` and journal the end. An interrupt only ends the waiting for requests in flight.

    Raises:
        RollbackIncompleteError: not everything succeeded, and the rest was not done; the message says what serves.
        LockLostError, AgentUnreachableError: this process may change nothing more.
    """
    moves = action in {FailureAction.RETURN, FailureAction.RELOAD} and run.live is not None
    with INTERRUPTS.shielded(ROLLING_BACK):
        if moves and isinstance(error, InterruptedByUserError):
            run.progress.step(ROLLING_BACK)
        message = _describe(error)
        measured = error.facts if isinstance(error, ReportedError) else {}
        try:
            facts = _perform(run, action, error)
        except _CEDED:
            raise
        except Exception as failure:
            raise _incomplete(run, step, message, failure, final=_is_final(run)) from failure
        try:
            run.journal(Event.FAILED, step=step, error=message, facts=measured)
            run.journal(Event.END, state=_final(run, action), facts=facts)
        except _CEDED:
            raise
        except OrchestratorError as failure:
            raise _incomplete(run, step, message, failure, final=False) from failure
        if moves:
            notify_rolled_back(run, message)


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _final(run: Run, action: FailureAction) -> State:
    """Return the state after an action; without an old release nothing was rolled back to."""
    return State.FAILED if action is FailureAction.RETURN and not run.live else FINAL_STATE[action]


def _perform(run: Run, action: FailureAction, error: BaseException) -> JournalFacts:
    """Perform an action; the first failure of a part that moves traffic or removes the candidate ends it."""
    facts: JournalFacts = {}
    if action is FailureAction.RETURN:
        facts = traffic.return_traffic(run)
    if action in {FailureAction.RETURN, FailureAction.DISCARD}:
        candidate.discard(run, error)
    if action is FailureAction.RELOAD:
        facts = hold.reload(run, error)
    if run.strategy is Strategy.HOLD and action in {FailureAction.DISCARD, FailureAction.RELOAD}:
        _try(run, lambda: run.target.orders.unpark(*run.idle.profiles))
    if action is FailureAction.STAY:
        run.progress.note("a failed rollback is not rolled back: see `python -m build.cutover status` and act")
    elif action is not FailureAction.KEEP:
        _try(run, lambda: run.refresh_env(run.live))
    return facts


def _try(run: Run, act: Callable[[], None]) -> None:
    """Report a failure that the next command repairs, and go on."""
    try:
        act()
    except _CEDED:
        raise
    except (OrchestratorError, OSError) as error:
        run.progress.note(f"another error during the rollback: {error}")


def _incomplete(run: Run, step: str, cause: str, failure: Exception, *, final: bool) -> RollbackIncompleteError:
    """Journal that the rollback could not be completed; return the error for the operator."""
    serving = _serving(run)
    message = f"the rollback is incomplete: {_describe(failure)}; {serving}"
    if final:
        outcome, remedy = "nothing is left to roll back", "switch to a release that is known to be good"
        _try(run, lambda: run.journal(Event.FAILED, step=step, error=f"{cause}; {message}"))
        _try(run, lambda: run.journal(Event.END, state=State.HELD, facts={}))
    else:
        outcome = "the cutover is still in progress"
        remedy = "`python -m build.cutover abort` rolls back again; `resume` continues with the candidate"
        _try(run, lambda: run.journal(Event.PAUSED, step=step, error=f"{message} (after: {cause})"))
    known = getattr(failure, "remedy", "")
    return RollbackIncompleteError(
        f"{message}; {outcome}",
        remedy="; then ".join(filter(None, [known, remedy])),
        detail=f"the rollback began because of: {cause}",
    )


def _is_final(run: Run) -> bool:
    """Return whether `abort` and `resume` can do no more: the gate is open, and one of the two releases is gone."""
    try:
        gone = not run.candidate.replicas or (run.old is not None and not run.old.replicas)
        return gone and run.proxy.held().mode == "none"
    except OrchestratorError:
        return False


def _serving(run: Run) -> str:
    """Describe which colours get requests, by the proxy."""
    try:
        servers = run.proxy.servers()
    except OrchestratorError:
        return "the proxy does not answer, so it is unknown which release serves"
    for names in (
        [colour.servers for colour in Colour],
        [colour.standbys for colour in Colour],
    ):  # a backup serves last
        serving = [
            f"{run.colours[colour].release()} in {colour}"
            for colour, own in zip(Colour, names, strict=True)
            if any(servers[name].usable for name in own)
        ]
        if serving:
            return f"now serving: {' and '.join(serving)}"
    return "now no release serves"


def notify_rolled_back(run: Run, error: str = "") -> None:
    """Run the operator's on-rollback hook."""
    if run.settings.hooks.on_rollback:
        hooks.notify(Point.ON_ROLLBACK, run.settings, run.target.journal, run.progress, run.journaled, error)
