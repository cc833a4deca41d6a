"""Run, resume or abort a cutover under the cutover lock.

A run first finishes or rolls back an interrupted cutover; then it picks the release, plans and executes the steps.
"""

from __future__ import annotations

import importlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from build.cutover import plan
from build.cutover.prefetch import StandbyPrefetch
from build.cutover.reporting import Reporting
from build.cutover.rules.gpu import Plan
from build.cutover.run import ROLLBACK, Run
from build.cutover.state_machine import ROLLBACK_ACTION, FailureAction, StrategyRequest, step_named
from build.errors import InterruptedByUserError, NothingToResumeError, OrchestratorError
from build.model.colours import Colour
from build.model.release import Release
from build.model.rollout import AT_ONCE, Rollout
from build.model.states import SERVING, State, Strategy
from build.progress import Progress
from build.state.history import Cutover, Event, in_progress
from build.target.target import Target

# The executor imports numpy (0.2 s), which overlaps with acquiring the lock. The report page takes as long to import
# and is needed last.
WALK, PAGE = "build.cutover.executor", "build.report.gather"
# Picks the release from the history and the live release, after interrupted cutovers are settled.
Choice = Callable[[list[Cutover], Release | None], Release]
Check = Callable[[], None]
UNASKED = StrategyRequest()


def run(
    target: Target,
    progress: Progress,
    kind: str,
    choose: Choice,
    *,
    asked: StrategyRequest = UNASKED,
    rollout: Rollout = AT_ONCE,
    ahead: StandbyPrefetch | None = None,
    wait_s: float = 0,
) -> Release:
    """Make the chosen release live, or roll back and raise; return the live release.

    Every decision that depends on the target's state is made while holding the cutover lock.

    Args:
        asked: how the releases share the machine.
        rollout: canary, soak and replicas; a rollback has no canary and no soak.
        ahead: prefetched answers of the standby release.
    """
    with _locked(target, progress, kind, wait_s) as check:
        past = _settle(target, progress, check)
        stack = target.survey()
        live = target.live(stack)
        release = stack[live].release if live else None
        wanted = choose(past, release)
        if wanted == release:
            progress.note(f"{wanted} is live already; nothing to do")
            return wanted
        idle = live.other if live else Colour.BLUE
        chosen = (
            Plan(Strategy.WARM, reason="it stands by")
            if kind == ROLLBACK and asked.strategy is None and _stands_by(target, idle, wanted, ahead)
            else plan.plan(target, progress, wanted, live, asked, replicas=rollout.replicas)
        )
        cutover = Run(target, progress, secrets.token_hex(4), kind, wanted, idle, live, chosen, rollout, ahead)
        if kind == ROLLBACK:
            progress.step(f"back to {wanted}: {_expected(cutover)}")
        cutover.begin(stack)
        _walk(cutover, State.PULLED, check)
        return wanted


def resume(target: Target, progress: Progress, *, wait_s: float = 0) -> Release:
    """Continue an interrupted cutover from its journaled state; return the live release."""
    with _locked(target, progress, "resume", wait_s) as check:
        left = _under_way(target)
        progress.step(
            f"going on with the {left.kind} to {left.release}, which was cut off at {left.step or left.state}"
        )
        _walk(Run.left(target, progress, left), left.state, check)
        return left.release


def abort(target: Target, progress: Progress, *, wait_s: float = 0) -> Release | None:
    """Roll back an interrupted cutover: traffic to the old colour, candidate removed; return the live release.

    Raises:
        NothingToResumeError: no cutover is in progress, or the old colour no longer runs.
    """
    with _locked(target, progress, "abort", wait_s):
        left = _under_way(target)
        _give_up(target, progress, left, InterruptedByUserError("aborted by the operator"))
        return left.previous


def break_lock(target: Target, progress: Progress, who: str, reason: str) -> None:
    """Break the cutover lock, and journal the owner, the operator and the reason.

    Raises:
        NothingToResumeError: no process holds the lock.
    """
    owner = target.lock.holder()
    if owner is None:
        raise NothingToResumeError("nobody holds the lock, so there is nothing to break")
    target.journal.append(event=Event.LOCK_BROKEN, owner=str(owner), by=who, reason=reason)
    target.lock.remove()
    progress.note(f"taken from {owner}")


@contextmanager
def _locked(target: Target, progress: Progress, what: str, wait_s: float) -> Iterator[Check]:
    """Hold the cutover lock, with open streams to journal and proxy so that each command saves an exec."""
    after = Reporting(target, progress)
    later = (WALK,) if what == ROLLBACK else (WALK, PAGE)  # a rollback is in a hurry: no extra import
    threading.Thread(target=_preload, args=later, daemon=True).start()
    with (
        after.paged(),
        target.lock.held(target.proxy_image, what, wait_s=wait_s, note=progress.note) as heartbeat,
        target.journal.opened(),
        target.proxy.opened(),
        after.attended(),
    ):
        yield heartbeat.check


def _preload(*modules: str) -> None:
    for module in modules:
        importlib.import_module(module)


def _walk(cutover: Run, state: State, check: Check) -> None:
    from build.cutover.executor import execute  # noqa: PLC0415 - see WALK

    execute(cutover, state, check)


def _under_way(target: Target) -> Cutover:
    left = in_progress(target.history())
    if left is None:
        raise NothingToResumeError("no cutover is under way", remedy="see `python -m build.cutover history`")
    return left


def _stands_by(target: Target, idle: Colour, wanted: Release, ahead: StandbyPrefetch | None) -> bool:
    colour = target.colours[idle]
    if not colour.running or colour.release() != wanted:
        return False
    said = [ahead.of(replica) if ahead else replica for replica in colour.replicas]
    return all(container.status().phase == "ready" for container in said)


def _expected(cutover: Run) -> str:
    """Describe how long the rollback will take."""
    if cutover.strategy is Strategy.WARM:
        return f"it stands by in {cutover.idle}, so that traffic moves within seconds"
    known = [
        past.facts["warm_s"]
        for past in cutover.target.history()
        if past.release == cutover.release and "warm_s" in past.facts
    ]
    return (
        f"it must be started first, which took {known[-1]:.0f} s the last time" if known else "it must be started first"
    )


def _settle(target: Target, progress: Progress, check: Check) -> list[Cutover]:
    """Finish an interrupted cutover whose traffic had begun to move; roll back any other one.

    Returns the history: reading it costs an exec, which a rollback cannot afford twice.
    """
    past = target.history()
    left = in_progress(past)
    if left is None:
        return past
    if left.state in SERVING or left.step == "switch":
        progress.step(f"finishing the {left.kind} to {left.release}, which was cut off at {left.step}")
        _walk(Run.left(target, progress, left), left.state, check)
    else:
        progress.note(f"the {left.kind} to {left.release} was cut off at {left.step or left.state}; given up")
        _give_up(target, progress, left, OrchestratorError("cut off, and given up by the next cutover"))
    return target.history()


def _give_up(target: Target, progress: Progress, left: Cutover, why: OrchestratorError) -> None:
    cutover = Run.left(target, progress, left)
    step = step_named(left.step, cutover.table)
    remedy = step.on_failure if step else FailureAction.STOP
    if remedy is FailureAction.KEEP:
        remedy = ROLLBACK_ACTION[cutover.strategy]
        if cutover.old is None or not cutover.old.running:
            raise NothingToResumeError(
                f"{left.release} serves, and the old colour has stopped: there is nothing left to abort",
                remedy="`python -m build.cutover resume` ends it; `rollback` goes back to the last good release",
            )
    from build.cutover.executor import undo  # noqa: PLC0415 - see WALK

    undo(cutover, remedy, why, left.step)
