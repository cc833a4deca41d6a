"""The parts of the stack that run through every cutover: proxy and agent."""

from __future__ import annotations

import os

from build.errors import ImageNotFoundError, SettingsError
from build.host import findings
from build.host.facts import host_facts
from build.progress import Progress
from build.target.target import ComposeTarget


def ensure_up(target: ComposeTarget, progress: Progress) -> None:
    """Start the proxy and the agent if they do not run; leave running ones alone.

    Raises:
        ImageNotFoundError: no proxy image exists.
        SettingsError: the proxy's address or keys differ from the settings.
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
    missing = [service for service in ("proxy", "agent") if not target.running(service)]
    if not missing:
        return
    if not target.proxy_image:
        raise ImageNotFoundError(
            "there is no proxy image, so the stack cannot start", remedy="`make up`, or `uv run python -m build.images`"
        )
    findings.refuse(findings.network(host_facts(target.settings, target.engine)))
    progress.step(f"starting {' and '.join(missing)}")
    target.refresh_env(None)
    target.compose.up(*missing)
    target.await_healthy(missing)
