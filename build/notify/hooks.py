"""Run and journal operator hooks at the points of a cutover; only pre-switch may abort it."""

from __future__ import annotations

import os
from typing import Any, Protocol

from build.errors import HookRefusedError, OrchestratorError
from build.model.hook_points import Point
from build.notify import hook, hook_runner
from build.progress import Progress
from build.settings import Settings
from build.state.history import Cutover, Event


class JournalWriter(Protocol):
    def append(self, **record: Any) -> None:
        """Append a record."""


def run_pre_switch(settings: Settings, journal: JournalWriter, progress: Progress, cutover: Cutover) -> None:
    """Run the pre-switch hook.

    Raises:
        HookRefusedError: the hook failed, so traffic stays where it is.
    """
    ended = run(Point.PRE_SWITCH, settings, journal, progress, cutover)
    if ended and ended.error:
        raise HookRefusedError(
            f"the {Point.PRE_SWITCH} hook refused the switch: {ended.error}; live traffic was not affected",
            detail=hook.excerpt(ended.output, os.environ),
            remedy="read its output above; [tool.cutover.hooks] in pyproject.toml sets its command",
        )


def notify(
    point: Point,
    settings: Settings,
    journal: JournalWriter | None,
    progress: Progress,
    cutover: Cutover | None,
    error: str = "",
) -> None:
    """Run any other hook; report and journal a failure, which changes nothing."""
    try:
        ended = run(point, settings, journal, progress, cutover, error)
    except OrchestratorError as failed:
        if point is Point.POST_SWITCH:
            raise  # a lost lock: the step handles it
        progress.note(f"the {point} hook: {failed.message}")
        return
    if ended and ended.error:
        progress.note(f"the {point} hook failed; the cutover continues: {ended.error}")
        for line in hook.excerpt(ended.output, os.environ).splitlines()[-5:]:
            progress.note(f"  | {line}")


def run(
    point: Point,
    settings: Settings,
    journal: JournalWriter | None,
    progress: Progress,
    cutover: Cutover | None,
    error: str = "",
) -> hook_runner.Ended | None:
    """Run the command of a hook point, if set, and journal its result; without a journal it only runs."""
    argv = settings.hooks.at(point)
    if not argv:
        return None
    progress.step(f"hook {point}")
    facts = hook.environment(point, cutover, hook.redact(error, os.environ))
    ended = hook_runner.run(argv, cwd=settings.root, timeout_s=settings.hook_timeout_s, facts=facts)
    if journal and cutover:
        journal.append(
            cutover=cutover.id,
            event=Event.HOOK,
            point=point,
            took_s=round(ended.took_s, 2),
            error=ended.error,
            output=hook.excerpt(ended.output, os.environ),
        )
    return ended
