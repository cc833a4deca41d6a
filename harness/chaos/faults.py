"""The faults. Each is injected while the cutover pauses at a journal record, and returns a proof of its effect."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError

from build.errors import LockHeldError
from build.model.states import Strategy
from build.state.history import Event
from harness.chaos import still
from harness.chaos.chaos_stack import ChaosStack
from harness.chaos.fault_points import (
    before_it_loads,
    before_it_serves,
    every,
    intents,
    pulling,
    unfinished,
    with_candidate,
)
from harness.chaos.scene import Scene
from harness.chaos.stepped import Point
from harness.gpu import GIB
from harness.stack import crash, wait_for

GONE = ("127.0.0.1", 9)  # no process listens there
JUMP_S = 3600
MEMORY_MB = (24, 48, 72, 96)  # too little for a process with a model
TOO_MUCH = 17 * GIB
KILLED = 137


Injection = Callable[[Scene], str]
Where = Callable[[Strategy], list[Point]]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        inject: inject it and return the proof of its effect.
        where: records at which it can happen.
        heal: remove the cause, as an operator does.
        finish: command that finishes the interrupted cutover; empty: the same switch again.
        ends: whether the candidate (True) or the old release (False) must be live at the end; None: as journaled.
        environment: variables of the orchestrator's process.
        reference: image to switch to instead of the candidate's.
        engine: options of the separate Docker engine that it needs; None: any engine.
    """

    name: str
    inject: Injection
    where: Where
    heal: Injection = lambda _scene: ""
    finish: tuple[str, ...] = ("resume",)
    ends: bool | None = None
    environment: Callable[[ChaosStack], Mapping[str, str]] = field(default=lambda _chaos: {})
    reference: str = ""
    engine: tuple[str, ...] | None = None


def _kill_orchestrator(scene: Scene) -> str:
    return f"pid {scene.process.process.pid} ended with {scene.process.kill()}"


def _crash(container: Any) -> str:
    """Kill the container's process from the host, and wait until its restart policy restarts it."""
    crash(container)
    return f"{container.name}: RestartCount {container.attrs['RestartCount']}, {container.attrs['State']['StartedAt']}"


def _hang(scene: Scene) -> str:
    """Stop every process of the candidate: it runs, but does not respond."""
    pids = _processes(scene.candidate)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def stopped() -> bool:
        return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids} == {"T"}

    wait_for("all processes of the candidate to stop", stopped)
    return f"{scene.candidate.name}: pids {pids} stopped (T)"


def _wake(scene: Scene) -> str:
    with contextlib.suppress(Exception):  # usually the container no longer exists
        for pid in _processes(scene.candidate):
            os.kill(pid, signal.SIGCONT)
    return ""


def _processes(container: Any) -> list[int]:
    return sorted(int(row[0]) for row in container.top(ps_args="-eo pid")["Processes"])


def _starve(scene: Scene) -> str:
    """Limit the memory so that the kernel kills the candidate; in a hold the model does not fit on the GPU."""
    if scene.strategy is Strategy.HOLD:
        scene.chaos.gpus.behave(scene.release, bytes=TOO_MUCH)
        return f"{scene.candidate.name}: from now on its model claims {TOO_MUCH // GIB} GiB of 16"
    container = scene.candidate
    for megabytes in MEMORY_MB:  # cgroups v1 rejects a limit below the current usage
        with contextlib.suppress(APIError):
            container.update(mem_limit=f"{megabytes}m", memswap_limit=f"{megabytes}m")
            break

    def killed() -> bool:
        container.reload()
        return bool(container.attrs["RestartCount"] or container.status != "running")

    wait_for("the kernel to kill the candidate", killed)
    code = scene.chaos.target.engine.exit_code(container)
    assert code == KILLED, code
    return f"{container.name}: exit code {code} with {megabytes} MB of memory"


def _restore_memory(scene: Scene) -> str:
    scene.chaos.gpus.behave(scene.release, bytes=GIB)
    return ""


def _fill(scene: Scene) -> str:
    usage = scene.chaos.run_in_agent("head -c 1G /dev/zero >filler 2>/dev/null; df -k . | tail -1")
    assert usage.split()[3] == "0", usage
    return f"0 kB free of {usage.split()[1]}"


def _empty(scene: Scene) -> str:
    return scene.chaos.run_in_agent("rm -f filler")


def _damage(scene: Scene) -> str:
    """Change the hash of the newest record; keep a copy as a backup."""
    scene.chaos.run_in_agent("cp journal.jsonl kept && sed -i '$s/..\"}$/zz\"}/' journal.jsonl")
    return "its last line ends " + scene.chaos.run_in_agent("tail -c 12 journal.jsonl").strip()


def _restore(scene: Scene) -> str:
    return scene.chaos.run_in_agent("mv kept journal.jsonl")


def _jump(clock: str, seconds: int) -> Injection:
    def inject(scene: Scene) -> str:
        scene.chaos.clocks.set_ahead(clock, seconds)
        return f"the {clock}'s clock {seconds:+} s"

    return inject


def _correct_clocks(scene: Scene) -> str:
    for clock in ("operator", "target"):
        scene.chaos.clocks.set_ahead(clock, 0)
    return ""


def _second(scene: Scene) -> str:
    done = scene.chaos.stack.run("build.cutover", *scene.switch, check=False)
    assert done.returncode == LockHeldError.exit_code, done.stderr
    assert f"(pid {scene.process.process.pid})" in done.stderr, done.stderr
    return f"exit code {done.returncode}, named pid {scene.process.process.pid}"


def _break_lock(scene: Scene) -> str:
    scene.chaos.stack.run("build.cutover", "lock", "break", "--reason", "chaos")
    record = scene.chaos.newest()
    assert record["event"] == Event.LOCK_BROKEN, record
    return f"record {record['seq']}: {record['event']}"


def _unreachable(_scene: Scene) -> str:
    with socket.socket() as probe:
        code = probe.connect_ex(GONE)
    assert code == errno.ECONNREFUSED, code
    return f"{GONE[0]}:{GONE[1]}: {os.strerror(code)}"


def _kill_dockerd(scene: Scene) -> str:
    """Kill dockerd by SIGKILL with live-restore: its containers continue, and it finds them again."""
    return _restart(scene, "KILL")


def _restart_dockerd(scene: Scene) -> str:
    """Restart dockerd without live-restore, as an upgrade does: every container stops and starts again."""
    return _restart(scene, "TERM")


def _cut_power(scene: Scene) -> str:
    """Restart the machine of a cutover whose orchestrator does not come back; the target's agent acts."""
    nested = scene.chaos.nested
    assert nested
    before = scene.chaos.stack.container("proxy").attrs["State"]["StartedAt"]
    scene.process.kill()
    began = time.monotonic()
    nested.cut_power()
    scene.outage_s = time.monotonic() - began
    proof = still.rescue(scene)
    return f"proxy of {before}, now of {scene.chaos.stack.container('proxy').attrs['State']['StartedAt']}; {proof}"


def _restart(scene: Scene, signal_name: str) -> str:
    nested = scene.chaos.nested
    assert nested
    before, began = nested.pid, time.monotonic()
    nested.kill(signal_name)
    nested.start()
    scene.outage_s = 0.0 if nested.options else time.monotonic() - began
    proxy = scene.chaos.stack.container("proxy")
    return f"dockerd {before} ended by SIG{signal_name}, now {nested.pid}; proxy of {proxy.attrs['State']['StartedAt']}"


FAULTS = (
    Fault("orchestrator killed", _kill_orchestrator, every, ends=True),
    Fault("candidate killed", lambda scene: _crash(scene.candidate), with_candidate),
    Fault("live colour killed", lambda scene: _crash(scene.chaos.container(scene.live)), unfinished),
    Fault("proxy killed", lambda scene: _crash(scene.chaos.stack.container("proxy")), unfinished),
    Fault("candidate hangs", _hang, before_it_serves, heal=_wake, ends=False),
    Fault("candidate out of memory", _starve, before_it_loads, heal=_restore_memory, ends=False),
    Fault("disk full", _fill, unfinished, heal=_empty),
    Fault("journal corrupt", _damage, unfinished, heal=_restore),
    Fault(
        "operator's clock jumps",
        _jump("operator", JUMP_S),
        unfinished,
        heal=_correct_clocks,
        ends=True,
        environment=lambda chaos: chaos.clocks.environment,
    ),
    Fault("target's clock jumps", _jump("target", -JUMP_S), unfinished, heal=_correct_clocks, ends=True),
    Fault("second operator", _second, unfinished, ends=True),
    Fault(
        "registry gone",
        _unreachable,
        pulling,
        ends=False,
        reference=f"{GONE[0]}:{GONE[1]}/glm-tts-slim:gone",
    ),
    Fault("dockerd killed", _kill_dockerd, unfinished, engine=("--live-restore",)),
    Fault("dockerd restarted", _restart_dockerd, unfinished, engine=()),
    Fault("power cut and not resumed", _cut_power, unfinished, engine=(), ends=True),
    Fault("lock broken", _break_lock, unfinished, finish=(), ends=True),
    Fault("orchestrator killed and not resumed", still.never_resumed, unfinished, ends=True),
    Fault("orchestrator stands still", still.at_a_record, unfinished, heal=still.changed_nothing, ends=True),
    Fault("orchestrator stands still in a step", still.inside_a_step, intents, heal=still.changed_nothing, ends=True),
)
