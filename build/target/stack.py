"""The parts of the stack that run through every cutover: proxy and state container."""

from __future__ import annotations

import os

from build.errors import ImageNotFoundError, SettingsError
from build.host import findings
from build.host.facts import host_facts
from build.progress import Progress
from build.target.target import ComposeTarget


def ensure_up(target: ComposeTarget, progress: Progress) -> None:
    """Start the proxy and the state container if they do not run; leave running ones alone.

    Raises:
        ImageNotFoundError: no proxy image exists.
        SettingsError: the proxy's address or keys differ from the settings.
    """
    if ignored := target.compose.ignored(os.environ):
        progress.note(f"{', '.join(ignored)}: ignored, since the stack is compose.yaml and .env alone")
    asked, there = target.settings.place, target.place
    if asked != there:
        raise SettingsError(
            f"the stack is {there}; now it is asked for {asked}",
            remedy="leave PORT, PUBLISH, KEYS_FOLDER and SUBNET_PREFIX as they were; or `make down`, then `make up` "
            "with the new ones",
        )
    missing = [service for service in ("proxy", "state") if not target.running(service)]
    if not missing:
        return
    if not target.proxy_image:
        raise ImageNotFoundError("there is no proxy image yet", remedy="`make up`, or `uv run python -m build.images`")
    findings.refuse(findings.network(host_facts(target.settings, target.engine)))
    progress.step(f"starting {' and '.join(missing)}")
    target.refresh_env(None)
    target.compose.up(*missing)
    target.await_healthy(missing)
