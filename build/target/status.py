"""Status of a target: live release, health, traffic, cutover in progress."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from build.model import colours
from build.model.colours import Colour, Stack
from build.model.release import Release
from build.model.states import CANARY
from build.proxy.types import Hold
from build.state import history
from build.state.cutover_lock import Holder
from build.state.history import Cutover
from build.target.target import ComposeTarget


@dataclass(frozen=True)
class TargetStatus:
    """The status of a target at one moment.

    `served`: a release was live at some time, by the journal.
    """

    stack: Stack
    live: Colour | None
    shares: dict[Colour, float | None]
    last_good: Release | None
    in_progress: Cutover | None
    lock: Holder | None
    hold: Hold | None
    proxy_running: bool
    warnings: tuple[str, ...]
    served: bool = False

    @property
    def unhealthy(self) -> str:
        """Why the live release does not serve; "" if it does, during a hold, and for a stack that is down."""
        if self.lock and self.hold and self.hold.mode != "none":
            return ""
        if self.live:
            facts = self.stack[self.live]
            if facts.container != "running":
                return f"{self.live} is live, but its container is {facts.container}"
            return "" if facts.usable else f"{self.live} is live, but its health checks fail"
        exist = any(facts.container != "absent" for facts in self.stack.values())
        if exist and not self.proxy_running:
            return "the proxy does not run, so no client reaches a release"
        return "no release is live, although one was" if self.served and self.proxy_running and not self.lock else ""

    def json(self) -> dict[str, Any]:
        """Return the status for programs; the keys are stable."""
        return {
            "live": self.live,
            "colours": {
                colour: {**asdict(facts), "share": self.shares[colour]} for colour, facts in self.stack.items()
            },
            "last_good": asdict(self.last_good) if self.last_good else None,
            "in_progress": asdict(self.in_progress) if self.in_progress else None,
            "unhealthy": self.unhealthy,
            "lock": self.lock.facts() if self.lock else None,
            "hold": asdict(self.hold) if self.hold else None,
            "warnings": list(self.warnings),
        }


def read(target: ComposeTarget) -> TargetStatus:
    """Query everything once; works on a stack that is down or partly up."""
    stack = target.survey(ask_service=True)
    past = target.history()
    warnings = _of_history(past)
    live = target.live_or_none(stack)
    current = history.in_progress(past)
    in_rotation = sum(facts.admin == "ready" and facts.container != "absent" for facts in stack.values())
    if in_rotation > 1 and not (current and current.step == CANARY):
        warnings.append(
            "both colours are in rotation: a cutover was interrupted; the next one finishes it or rolls it back"
        )
    proxy_running = target.running("proxy")
    agent_running = target.running("agent")
    if proxy_running and not agent_running:
        warnings.append(f"the agent does not run, so history and traffic are unavailable: {_agent_remedy(target)}")
    if live and live is colours.serving_as_backup(stack):
        warnings.append(f"{live} serves only as a backup: no regular server is up; the next switch makes it regular")
    elif proxy_running and live and not stack[live].usable:
        warnings.append(f"{live} is live, but its health checks fail")
    release = stack[live].release if live else None
    hold, lock = target.proxy.held() if proxy_running and agent_running else None, target.lock_holder()
    if hold and hold.mode != "none" and lock is None:
        warnings.append(
            "the proxy holds requests, but no cutover is running: run `python -m build.cutover resume` or `abort`"
        )
    return TargetStatus(
        stack=stack,
        live=live,
        shares=colours.shares(stack),
        last_good=history.last_good(past, release),
        in_progress=current,
        lock=lock,
        hold=hold,
        proxy_running=proxy_running,
        warnings=tuple(warnings),
        served=any(cutover.served for cutover in past),
    )


def _agent_remedy(target: ComposeTarget) -> str:
    return 'see "From 0.1.0" in docs/guides/upgrading.md' if target.predates_agent else "run `docker compose up -d`"


def _of_history(past: list[Cutover]) -> list[str]:
    """Return the warnings that follow from the journal alone."""
    warnings = []
    current = history.in_progress(past)
    if current and current.paused:
        warnings.append(f"{current.paused}; continue with `python -m build.cutover resume` or roll back with `abort`")
    if moved := history.left_by_agent(past):
        warnings.append(
            f"{moved.release} was sick, so the agent gave the traffic to {moved.previous}; switch to a good release"
        )
    return warnings
