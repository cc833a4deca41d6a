"""A cutover from lock to end: settle what was left, choose the release, switch to it."""

from __future__ import annotations

from collections.abc import Callable

from build.decisions.colours import Colour
from build.decisions.history import Cutover, Event, Release, in_progress
from build.decisions.machine import State
from build.procedures.report import Report
from build.procedures.switch import Switch
from build.procedures.target import Target

# Picks the release from the history and what is live, once both are settled.
Choice = Callable[[list[Cutover], Release | None], Release]


def run(target: Target, report: Report, kind: str, choose: Choice) -> Release:
    """Makes the chosen release live, or leaves everything as it was and says why; returns what is live.

    Everything that is decided from the target's state is decided under its lock.
    """
    with target.lock.held(target.proxy_image, kind):
        settle(target, report)
        stack = target.survey()
        live = target.live(stack)
        release = stack[live].release if live else None
        wanted = choose(target.history(), release)
        if wanted == release:
            report.note(f"{wanted} is live already; nothing to do")
            return wanted
        cutover = Switch(target, report, wanted, kind=kind, idle=live.other if live else Colour.BLUE, live=live)
        cutover.begin(stack)
        cutover.walk(State.PULLED)
        return wanted


def settle(target: Target, report: Report) -> None:
    """Ends what a killed cutover left: traffic that had begun to move is moved, an unproven candidate is given up.

    The candidate of the latter is out of rotation, and makes way when the next cutover starts its own.
    """
    left = in_progress(target.history())
    if left is None:
        return
    if left.state is State.SWITCHED or left.step == "switch":
        report.step(f"finishing the {left.kind} to {left.release}, which was cut off at {left.step}")
        idle = Colour(left.colour)
        live = idle.other if left.previous else None
        Switch(target, report, left.release, kind=left.kind, idle=idle, live=live, identity=left.id).walk(left.state)
    else:
        report.note(f"the {left.kind} to {left.release} was cut off at {left.step or left.state}; given up")
        target.journal.append(cutover=left.id, event=Event.END, state=State.FAILED)
