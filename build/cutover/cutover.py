"""Run, resume or abort a cutover under the cutover lock.

A run first finishes or rolls back an interrupted cutover; then it picks the release, plans and executes the steps.
"""

from __future__ import annotations

import importlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from build.cutover import gpu_room, plan, renewal
from build.cutover.prefetch import StandbyPrefetch
from build.cutover.reporting import Reporting
from build.cutover.rules.gpu import Plan
from build.cutover.run import ROLLBACK, Run
from build.cutover.state_machine import ROLLBACK_ACTION, FailureAction, StrategyRequest, step_named
from build.errors import NothingToResumeError, OrchestratorError
from build.model.colours import Colour, Stack
from build.model.release import Release
from build.model.rollout import AT_ONCE, Rollout
from build.model.states import RETIRE, SERVING, State, Strategy
from build.progress import Progress
from build.state.history import Cutover, in_progress
from build.target.types import Target

# The executor imports numpy (0.2 s), which overlaps with acquiring the lock. The report page takes as long to import
# and is needed last.
EXECUTOR, PAGE = "build.cutover.executor", "build.report.gather"
# Picks the release from the history and the live release, after interrupted cutovers are settled.
Choice = Callable[[list[Cutover], Release | None], Release]
Check = Callable[[], None]
AUTO = StrategyRequest()
NOTHING = "nothing to do"
STANDBY = Plan(Strategy.WARM, reason="it is on standby")


def run(
    target: Target,
    progress: Progress,
    kind: str,
    choose: Choice,
    *,
    request: StrategyRequest = AUTO,
    rollout: Rollout = AT_ONCE,
    ahead: StandbyPrefetch | None = None,
    wait_s: float = 0,
) -> Release:
    """Make the chosen release live, or roll back and raise; return the live release.

    A live release goes through all steps too if it is sick or its settings differ. The lock covers every decision.

    Args:
        request: how the releases share the machine, and whether a healthy live release is renewed.
        rollout: canary, soak and replicas; a rollback has no canary and no soak.
        ahead: prefetched answers of the standby release.
    """
    with _locked(target, progress, kind, wait_s) as check:
        past = _settle(target, progress, check, kind)
        stack = target.survey()
        live = target.live(stack)
        release = stack[live].release if live else None
        wanted = choose(past, release)
        if live and wanted == release:
            why = renewal.reason(target, stack, live, kind, request, rollout.replicas)
            progress.step(f"{wanted} is already live; {f'it starts again in {live.other}: {why}' if why else NOTHING}")
            if not why:
                return wanted
        idle = live.other if live else Colour.BLUE
        if kind == ROLLBACK and request.strategy is None and _on_standby(target, idle, wanted, ahead):
            # What exists serves, whatever the settings say now.
            chosen, rollout = STANDBY, replace(rollout, replicas=len(target.colours[idle].replicas))
        else:
            chosen = plan.plan(target, progress, wanted, live, request, replicas=rollout.replicas)
        cutover = Run(target, progress, secrets.token_hex(4), kind, wanted, idle, live, chosen, rollout, ahead)
        _begin(cutover, stack, check)
        return wanted


def _begin(cutover: Run, stack: Stack, check: Check) -> None:
    if cutover.kind == ROLLBACK:
        cutover.progress.step(f"rolling back to {cutover.release}: {_expected(cutover)}")
    cutover.begin(stack)
    _execute(cutover, State.PULLED, check)


def resume(target: Target, progress: Progress, *, wait_s: float = 0) -> Release:
    """Continue an interrupted cutover from its journaled state; return the live release."""
    with _locked(target, progress, "resume", wait_s) as check:
        interrupted = _in_progress(target)
        progress.step(f"resuming the {_describe(interrupted)}")
        _execute(Run.from_cutover(target, progress, interrupted), interrupted.state, check)
        return interrupted.release


def abort(target: Target, progress: Progress, *, wait_s: float = 0) -> Release | None:
    """Roll back an interrupted cutover: traffic to the old colour, candidate removed; return the live release.

    Raises:
        NothingToResumeError: no cutover is in progress, or the old colour no longer runs.
    """
    with _locked(target, progress, "abort", wait_s):
        interrupted = _in_progress(target)
        _roll_back(target, progress, interrupted, OrchestratorError("aborted by the operator"))
        return interrupted.previous


def break_lock(target: Target, progress: Progress, operator: str, reason: str) -> None:
    """Break the cutover lock, and journal the owner, the operator and the reason.

    Raises:
        NothingToResumeError: no process holds the lock.
    """
    owner = target.lock.break_(operator, reason)
    if owner is None:
        raise NothingToResumeError("the cutover lock is free: there is no lock to break")
    progress.note(f"broke the lock of {owner}")


@contextmanager
def _locked(target: Target, progress: Progress, command: str, wait_s: float) -> Iterator[Check]:
    """Hold the cutover lock."""
    reporting = Reporting(target, progress)
    modules = (EXECUTOR,) if command == ROLLBACK else (EXECUTOR, PAGE)  # a rollback is in a hurry: no extra import
    threading.Thread(target=_preload, args=modules, daemon=True).start()
    with (
        reporting.pages(),
        target.lock.held(
            command,
            wait_s=wait_s,
            note=progress.note,
            may_take_over=lambda: command == ROLLBACK and _only_drains(in_progress(target.history())),
        ) as heartbeat,
        reporting.alerts(),
        gpu_room.releasing(target),
    ):
        yield heartbeat.check


def _preload(*modules: str) -> None:
    for module in modules:
        importlib.import_module(module)


def _execute(cutover: Run, state: State, check: Check) -> None:
    from build.cutover.executor import execute  # noqa: PLC0415 - see EXECUTOR

    execute(cutover, state, check)


def _in_progress(target: Target) -> Cutover:
    cutover = in_progress(target.history())
    if cutover is None:
        raise NothingToResumeError("no cutover is in progress", remedy="see `python -m build.cutover history`")
    return cutover


def _describe(interrupted: Cutover) -> str:
    step = interrupted.step or interrupted.state
    return f"{interrupted.kind} to {interrupted.release}, which was interrupted at {step}"


def _on_standby(target: Target, idle: Colour, wanted: Release, ahead: StandbyPrefetch | None) -> bool:
    colour = target.colours[idle]
    if not colour.running or colour.release() != wanted:
        return False
    containers = [ahead.of(replica) if ahead else replica for replica in colour.replicas]
    return all(container.status().phase == "ready" for container in containers)


def _expected(cutover: Run) -> str:
    """Describe how long the rollback will take."""
    if cutover.strategy is Strategy.WARM:
        return f"it is on standby in {cutover.idle}, so traffic moves within seconds"
    starts_s = [
        past.facts["warm_s"]
        for past in cutover.target.history()
        if past.release == cutover.release and "warm_s" in past.facts
    ]
    last = f"; the last start took {starts_s[-1]:.0f} s" if starts_s else ""
    return f"it must start first{last}"


def _only_drains(current: Cutover | None) -> bool:
    """Whether the release of a cutover serves, and only its old colour is not empty yet."""
    return current is not None and current.step == RETIRE


def _settle(target: Target, progress: Progress, check: Check, kind: str) -> list[Cutover]:
    """Finish an interrupted cutover whose traffic had begun to move; roll back any other one.

    A rollback does not wait until the old colour is empty, which can take minutes: it gets the traffic again.

    Returns the history: reading it costs an exec, which a rollback cannot afford twice.
    """
    past = target.history()
    interrupted = in_progress(past)
    if interrupted is None:
        return past
    if kind == ROLLBACK and _only_drains(interrupted):
        progress.note(f"ending the {_describe(interrupted)}")
        _undo(
            Run.from_cutover(target, progress, interrupted),
            FailureAction.KEEP,
            OrchestratorError("a rollback began before the old colour was empty"),
            interrupted.step,
        )
    elif interrupted.state in SERVING or interrupted.step == "switch":
        progress.step(f"finishing the {_describe(interrupted)}")
        _execute(Run.from_cutover(target, progress, interrupted), interrupted.state, check)
    else:
        progress.note(f"rolling back the {_describe(interrupted)}")
        _roll_back(target, progress, interrupted, OrchestratorError("interrupted; the next cutover rolled it back"))
    return target.history()


def _roll_back(target: Target, progress: Progress, interrupted: Cutover, reason: OrchestratorError) -> None:
    cutover = Run.from_cutover(target, progress, interrupted)
    step = step_named(interrupted.step, cutover.table)
    action = step.on_failure if step else FailureAction.STOP
    if action is FailureAction.KEEP:
        action = ROLLBACK_ACTION[cutover.strategy]
        if cutover.old is None or not cutover.old.running:
            raise NothingToResumeError(
                f"{interrupted.release} is live and the old colour has stopped: it is too late to abort",
                remedy="finish with `python -m build.cutover resume`; `rollback` then returns to the last good release",
            )
    _undo(cutover, action, reason, interrupted.step)


def _undo(cutover: Run, action: FailureAction, reason: OrchestratorError, step: str) -> None:
    from build.cutover.undo import undo  # noqa: PLC0415 - see EXECUTOR

    undo(cutover, action, reason, step)
