"""Why a release that is already live starts again in the idle colour."""

from __future__ import annotations

from build.cutover.run import ROLLBACK
from build.cutover.state_machine import StrategyRequest
from build.model.colours import Colour, Stack
from build.target.types import Target


def reason(target: Target, stack: Stack, live: Colour, kind: str, request: StrategyRequest, replicas: int) -> str:
    """Return the reason; "" if the live release is healthy and has the current settings.

    A rollback ignores the settings: its release keeps those that it runs with.
    """
    if request.again:
        return "--again asks for it"
    if sick := _sickness(target, stack, live):
        return sick
    if kind == ROLLBACK:
        return ""
    changed = target.changed_settings(live)
    if (running := len(target.colours[live].replicas)) != replicas:
        changed = [*changed, f"replicas {running} -> {replicas}"]
    return f"its settings have changed ({', '.join(changed)})" if changed else ""


def _sickness(target: Target, stack: Stack, live: Colour) -> str:
    """Return why the live release does not serve; "" if it does. The probe finds a process that hangs since."""
    if (state := stack[live].container) != "running":
        return f"its container is {state}"
    if not stack[live].usable:
        return "its health checks fail"
    servers = target.proxy.servers()
    used = [servers[replica.slot.server] for replica in target.colours[live].replicas]
    return "" if target.proxy.probe(*used) else "it does not answer a health check"
