"""What goes wrong: each fault strikes while the cutover stands at a journal record, and proves that it did."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError

from build.errors import LockHeldError
from build.model.colours import Colour
from build.model.states import Strategy
from build.state.history import Event
from harness.chaos.chaos_stack import Bed
from harness.chaos.fault_points import (
    before_it_loads,
    before_it_serves,
    command,
    every,
    pulling,
    unfinished,
    with_candidate,
)
from harness.chaos.stepped import Point, Stepped
from harness.gpu import GIB
from harness.stack import crash, wait_for

GONE = ("127.0.0.1", 9)  # nobody listens there
JUMP_S = 3600
MEMORY_MB = (24, 48, 72, 96)  # all too little for a process with a model
TOO_MUCH = 17 * GIB
KILLED = 137


@dataclass
class Scene:
    """A cutover that stands at a record: `live` serves until then, `process` is the orchestrator."""

    bed: Bed
    strategy: Strategy
    point: Point
    live: Colour
    wanted: str
    process: Stepped

    @property
    def candidate(self) -> Any:
        return self.bed.container(self.live.other)

    @property
    def switch(self) -> list[str]:
        """The command that this is an attempt at."""
        return command(self.bed.references[self.wanted], self.strategy, self.point)


Strike = Callable[[Scene], str]
Where = Callable[[Strategy], list[Point]]


@dataclass(frozen=True)
class Fault:
    """`strike` returns the proof that it struck.

    Attributes:
        where: the records at which it can happen.
        heal: what an operator does about it before going on.
        finish: the command that ends what was cut off; empty: the same switch once more.
        ends: whether the candidate must be live in the end, or (False) the old release; None: as the journal says.
        environment: of the orchestrator's process.
        reference: what is switched to in place of a release that is here.
        engine: the options of the engine of its own that it needs; None: any engine will do.
    """

    name: str
    strike: Strike
    where: Where
    heal: Strike = lambda _scene: ""
    finish: tuple[str, ...] = ("resume",)
    ends: bool | None = None
    environment: Callable[[Bed], Mapping[str, str]] = field(default=lambda _bed: {})
    reference: str = ""
    engine: tuple[str, ...] | None = None


def _kill_orchestrator(scene: Scene) -> str:
    return f"pid {scene.process.process.pid} ended with {scene.process.kill()}"


def _crash(container: Any) -> str:
    """Its process killed from the host; back by its restart policy."""
    crash(container)
    return f"{container.name}: RestartCount {container.attrs['RestartCount']}, {container.attrs['State']['StartedAt']}"


def _hang(scene: Scene) -> str:
    """Every process of the candidate stopped: it runs, and answers nothing."""
    pids = _processes(scene.candidate)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def stopped() -> bool:
        return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids} == {"T"}

    wait_for("all of its processes to stand still", stopped)
    return f"{scene.candidate.name}: pids {pids} stopped (T)"


def _wake(scene: Scene) -> str:
    with contextlib.suppress(Exception):  # it is gone, as a rule
        for pid in _processes(scene.candidate):
            os.kill(pid, signal.SIGCONT)
    return ""


def _processes(container: Any) -> list[int]:
    return sorted(int(row[0]) for row in container.top(ps_args="-eo pid")["Processes"])


def _starve(scene: Scene) -> str:
    """Too little memory: the kernel kills what starts; what has only its model to load yet finds the GPU too small."""
    if scene.strategy is Strategy.HOLD:
        scene.bed.gpus.behave(scene.wanted, bytes=TOO_MUCH)
        return f"{scene.candidate.name}: from now on its model claims {TOO_MUCH // GIB} GiB of 16"
    container = scene.candidate
    for megabytes in MEMORY_MB:  # a limit below what is in use already is refused by cgroups v1
        with contextlib.suppress(APIError):
            container.update(mem_limit=f"{megabytes}m", memswap_limit=f"{megabytes}m")
            break

    def killed() -> bool:
        container.reload()
        return bool(container.attrs["RestartCount"] or container.status != "running")

    wait_for("the kernel to kill the candidate", killed)
    code = scene.bed.target.engine.exit_code(container)
    assert code == KILLED, code
    return f"{container.name}: exit code {code} with {megabytes} MB of memory"


def _enough(scene: Scene) -> str:
    scene.bed.gpus.behave(scene.wanted, bytes=GIB)
    return ""


def _fill(scene: Scene) -> str:
    said = scene.bed.in_state("head -c 1G /dev/zero >filler 2>/dev/null; df -k . | tail -1")
    assert said.split()[3] == "0", said
    return f"0 kB left of {said.split()[1]}"


def _empty(scene: Scene) -> str:
    return scene.bed.in_state("rm -f filler")


def _damage(scene: Scene) -> str:
    """The newest record's last word of its hash changed; a copy kept, as a backup would."""
    scene.bed.in_state("cp journal.jsonl kept && sed -i '$s/..\"}$/zz\"}/' journal.jsonl")
    return "its last line ends " + scene.bed.in_state("tail -c 12 journal.jsonl").strip()


def _restore(scene: Scene) -> str:
    return scene.bed.in_state("mv kept journal.jsonl")


def _jump(whose: str, seconds: int) -> Strike:
    def strike(scene: Scene) -> str:
        scene.bed.clocks.ahead(whose, seconds)
        return f"the {whose}'s clock {seconds:+} s"

    return strike


def _set_right(scene: Scene) -> str:
    for whose in ("operator", "target"):
        scene.bed.clocks.ahead(whose, 0)
    return ""


def _second(scene: Scene) -> str:
    done = scene.bed.stack.run("build.cutover", *scene.switch, check=False)
    assert done.returncode == LockHeldError.exit_code, done.stderr
    assert f"(pid {scene.process.process.pid})" in done.stderr, done.stderr
    return f"exit code {done.returncode}, named pid {scene.process.process.pid}"


def _break_lock(scene: Scene) -> str:
    scene.bed.stack.run("build.cutover", "lock", "break", "--reason", "chaos")
    record = scene.bed.newest()
    assert record["event"] == Event.LOCK_BROKEN, record
    return f"record {record['seq']}: {record['event']}"


def _unreachable(_scene: Scene) -> str:
    with socket.socket() as probe:
        code = probe.connect_ex(GONE)
    assert code == errno.ECONNREFUSED, code
    return f"{GONE[0]}:{GONE[1]}: {os.strerror(code)}"


def _kill_dockerd(scene: Scene) -> str:
    """By SIGKILL, with live-restore on: its containers run on, and it finds them again."""
    return _again(scene, "KILL")


def _restart_dockerd(scene: Scene) -> str:
    """As an upgrade does it, with live-restore off: every container ends, and starts again."""
    return _again(scene, "TERM")


def _again(scene: Scene, signal_name: str) -> str:
    nested = scene.bed.nested
    assert nested
    before = nested.pid
    nested.kill(signal_name)
    nested.start()
    proxy = scene.bed.stack.container("proxy")
    return f"dockerd {before} ended by SIG{signal_name}, now {nested.pid}; proxy of {proxy.attrs['State']['StartedAt']}"


FAULTS = (
    Fault("orchestrator killed", _kill_orchestrator, every, ends=True),
    Fault("candidate killed", lambda scene: _crash(scene.candidate), with_candidate),
    Fault("live colour killed", lambda scene: _crash(scene.bed.container(scene.live)), unfinished),
    Fault("proxy killed", lambda scene: _crash(scene.bed.stack.container("proxy")), unfinished),
    Fault("candidate hangs", _hang, before_it_serves, heal=_wake, ends=False),
    Fault("candidate out of memory", _starve, before_it_loads, heal=_enough, ends=False),
    Fault("disk full", _fill, unfinished, heal=_empty),
    Fault("journal corrupt", _damage, unfinished, heal=_restore),
    Fault(
        "operator's clock jumps",
        _jump("operator", JUMP_S),
        unfinished,
        heal=_set_right,
        ends=True,
        environment=lambda bed: bed.clocks.environment,
    ),
    Fault("target's clock jumps", _jump("target", -JUMP_S), unfinished, heal=_set_right, ends=True),
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
    Fault("lock broken", _break_lock, unfinished, finish=(), ends=True),
)
