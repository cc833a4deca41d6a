"""Orchestrators that fall silent: one that stands still and wakes after its successor, one that no one resumes.

Ctrl-Z, a closed laptop, a paused machine and a dead network look like this from the target.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from agent.lock import EXPIRY_S
from build.errors import LockLostError
from build.proxy.types import Hold
from build.state.history import Event
from harness.chaos.chaos_stack import PATIENCE, ChaosStack
from harness.chaos.scene import Scene
from harness.stack import wait_for

RESCUE_S = EXPIRY_S + 45  # from the last heartbeat until clients are served again
WORKED_TICKS = 20  # of processor time, after which a process is inside its step


def at_a_record(scene: Scene) -> str:
    """Stop the orchestrator where it pauses; return the proof."""
    return _stand_still(scene)


def inside_a_step(scene: Scene) -> str:
    """Let the orchestrator begin the step, and stop it inside; return the proof."""
    pid = scene.process.process.pid
    before = _ticks(pid)
    scene.process.proceed()
    wait_for("the step to work", lambda: _ticks(pid) > before + WORKED_TICKS or scene.process.at_next_record())
    return _stand_still(scene)


def _stand_still(scene: Scene) -> str:
    chaos, pid = scene.chaos, scene.process.process.pid
    os.kill(pid, signal.SIGSTOP)
    wait_for("the agent to act for it", lambda: chaos.target.lock.holder() is None, RESCUE_S)
    done = chaos.stack.run("build.cutover", *scene.switch, check=False, **PATIENCE)
    scene.seen = state(chaos)
    os.kill(pid, signal.SIGCONT)
    return f"pid {pid} stopped; its successor exited with {done.returncode}; then it woke"


def changed_nothing(scene: Scene) -> str:
    """Assert that the late owner ended with the code of a lost lock, and that nothing is new since its successor."""
    assert scene.process.process.returncode == LockLostError.exit_code, scene.process.process.returncode
    now = state(scene.chaos)
    changed = {name: (scene.seen[name], now[name]) for name in now if now[name] != scene.seen[name]}
    assert not changed, f"since its successor, the late owner changed {changed}"
    return ""


def state(chaos: ChaosStack) -> dict[str, Any]:
    """Return what a late owner could change: containers, traffic, hold, journal and .env."""
    proxy = chaos.target.proxy
    return {
        "containers": chaos.stack.containers(),
        "servers": {name: (server.admin, server.weight) for name, server in proxy.servers().items()},
        "hold": proxy.held().mode,
        "journal": chaos.stack.journal(),
        "env": (chaos.stack.root / ".env").read_text(),
    }


def never_resumed(scene: Scene) -> str:
    """Kill the orchestrator and wait until the target's agent has acted and a release serves; return the proof."""
    return f"it ended with {scene.process.kill()}; {rescue(scene)}"


def rescue(scene: Scene) -> str:
    """Wait until the target's agent has acted for an orchestrator that ended, and a release serves."""
    chaos = scene.chaos

    def rescued() -> bool:
        found = chaos.status()
        serves = found.live is not None and found.stack[found.live].usable
        return serves and found.lock is None and found.hold == Hold("none", 0)

    wait_for("the agent to act", lambda: chaos.newest()["event"] == Event.AGENT and rescued(), RESCUE_S)
    record = chaos.newest()
    return f"the agent: {record['did']} ({record['reason']})"


def _ticks(pid: int) -> int:
    """Return a process's processor time in clock ticks (proc(5), fields 14 and 15)."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
