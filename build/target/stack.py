"""The parts of the stack that run through every cutover: proxy and agent."""

from __future__ import annotations

import os

from build.errors import CommandFailedError, ImageNotFoundError, PreflightError, SettingsError
from build.host import findings
from build.host.facts import host_facts
from build.progress import Progress
from build.target.target import ComposeTarget

HEALTHY_S = 60


def ensure_up(target: ComposeTarget, progress: Progress) -> None:
    """Start the proxy and the agent if they do not run; leave running ones alone.

    Raises:
        ImageNotFoundError: no proxy image exists.
        SettingsError: the proxy's address or keys differ from the settings.
        PreflightError: the running proxy predates the agent.
        CommandFailedError: a container is not healthy in time; the detail has the last lines of its log.
    """
    if ignored := target.compose.ignored(os.environ):
        progress.note(f"ignoring {', '.join(ignored)}: only compose.yaml and .env define the stack")
    wanted, running = target.settings.place, target.place
    if wanted != running:
        raise SettingsError(
            f"the running proxy is {running}, but the settings say {wanted}",
            remedy="restore port, publish, keys_folder and subnet_prefix; or apply the new values by `make down`, then "
            "`make up`",
        )
    held_s, set_s = target.hold_budget_s, target.settings.hold_budget_s
    if held_s != set_s:
        progress.note(
            f"the running proxy holds requests for {held_s:g} s; hold_budget_s = {set_s:g} applies after "
            "`make down` and `make up`"
        )
    missing = [service for service in ("proxy", "agent") if not target.running(service)]
    if not missing:
        return
    _refuse_older(target)
    if not target.proxy_image:
        raise ImageNotFoundError(
            "there is no proxy image, so the stack cannot start", remedy="`make up`, or `uv run python -m build.images`"
        )
    findings.refuse(findings.network(host_facts(target.settings, target.engine)))
    progress.step(f"starting {' and '.join(missing)}")
    target.refresh_env(None)
    target.compose.up(*missing)
    _await_healthy(target, missing)


def _refuse_older(target: ComposeTarget) -> None:
    if target.predates_agent:
        raise PreflightError(
            f"{target.settings.container('proxy')} was started by version 0.1.0, and no agent can command it",
            remedy='restart the stack as docs/guides/upgrading.md says under "From 0.1.0"; nothing was changed',
        )


def _await_healthy(target: ComposeTarget, services: list[str]) -> None:
    for service in services:
        name = target.settings.container(service)
        began = target.clock.now()
        for now in target.clock.polls():
            container = target.engine.container(name)
            health = container.attrs["State"].get("Health", {}).get("Status") if container else None
            if container and container.status == "running" and health in (None, "healthy"):
                break
            if now - began > HEALTHY_S:
                logs = target.engine.logs(container) if container else ""
                raise CommandFailedError(f"{name} is not healthy after {HEALTHY_S} s", detail=logs)
