"""The cutover lock: one cutover at a time on a target. The agent grants it with an epoch (agent.lock)."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.protocol import Owner
from build.agent_client import AgentClient
from build.errors import LockHeldError, LockLostError, OrchestratorError
from build.system import users
from build.system.interrupts import INTERRUPTS

BEAT_S = 5.0
WAIT_S = 1.0
AGENT_S = 30.0  # for the agent to bring traffic to a good release, unless that one must load its model


@dataclass(frozen=True)
class Holder:
    """The current owner of the lock.

    Attributes:
        epoch: of its acquisition.
        expired: it has been silent for too long, so the next process gets the lock.
    """

    owner: Owner
    epoch: int
    expired: bool

    def __str__(self) -> str:
        return f"{self.owner}{' (expired)' if self.expired else ' (its process has ended)' if self.gone else ''}"

    @property
    def gone(self) -> bool:
        """True when the lock has expired, or its owner was a process of this machine and has ended."""
        return self.expired or (self.owner.host == _host() and _has_ended(self.owner))

    def facts(self) -> dict[str, Any]:
        """Return the owner's fields and `expired`, for programs."""
        return {**asdict(self.owner), "expired": self.expired}


def _host() -> str:
    # Boot ID and pid namespace are part of the host: after a reboot or in another container a pid means another
    # process.
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot.read_text()[:8]}/{namespace.readlink()}"


def _started(pid: str) -> str:
    """Return a process's start time in clock ticks since boot (proc(5), field 22); "" if it cannot be read."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _has_ended(owner: Owner) -> bool:
    try:
        os.kill(int(owner.pid), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        pass  # another user's process; with hidepid, /proc does not show it
    return _started(owner.pid) not in {owner.started, ""}


class Heartbeat:
    """Keep a lock alive from a thread; `check` raises when the lock is lost."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent
        self._stop = threading.Event()
        self._lost: OrchestratorError | None = None
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LockLostError if the lock is lost."""
        if self._lost:
            raise self._lost

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self._agent.change("lock beat")
            except LockLostError as error:
                self._lost = error
                return
            except OrchestratorError:
                continue  # the agent may come back in time; if not, the next beat tells


class CutoverLock:
    """The lock of one target."""

    def __init__(self, agent: AgentClient, alertmanager: str = "") -> None:
        """`alertmanager`: its address, for the alerts of the agent; each acquisition stores it on the target."""
        self._agent = agent
        self._alertmanager = alertmanager

    def holder(self) -> Holder | None:
        """Return the current owner, or None."""
        answer = self._agent.ask("lock show")
        if answer["owner"] is None:
            return None
        return Holder(Owner.from_json(answer["owner"]), answer["epoch"], answer["expired"])

    @contextmanager
    def held(
        self,
        purpose: str,
        *,
        wait_s: float = 0,
        note: Callable[[str], None] | None = None,
        may_take_over: Callable[[], bool] = lambda: False,
    ) -> Iterator[Heartbeat]:
        """Hold the lock in the block; the agent's client carries its epoch meanwhile.

        Args:
            wait_s: how long to wait for another owner; for the agent, which is soon done, at least AGENT_S.
            note: called once with a message that names the other owner.
            may_take_over: whether the work of another owner may end now; its later changes are then refused.

        Raises:
            LockHeldError: another process holds the lock; the message says which one, since when and for what.
        """
        pid = str(os.getpid())
        me = Owner(users.name(), _host(), pid, _started(pid), purpose, id=secrets.token_hex(8))
        with INTERRUPTS.shielded():  # an interrupt between grant and release would leave the lock to expire
            self._agent.epoch = self._wait(me, wait_s, note, may_take_over)
            heartbeat = Heartbeat(self._agent)
        try:
            yield heartbeat
        finally:
            heartbeat.end()
            with suppress(OrchestratorError):  # then the lock expires
                self._agent.change("lock release")
            self._agent.epoch = 0

    def confirm(self) -> int:
        """Confirm just before an effect that this process holds the lock; return its epoch.

        The lock then lasts for a full expiry from now.

        Raises:
            LockLostError: this process does not hold the lock.
        """
        self._agent.change("confirm")
        return self._agent.epoch

    def break_(self, by: str, reason: str) -> Owner | None:
        """Take the lock from its owner and journal who did it and why; return the owner, None if the lock was free."""
        owner = self._agent.ask("lock break", by=by, reason=reason)["owner"]
        return Owner.from_json(owner) if owner else None

    def _wait(
        self, me: Owner, wait_s: float, note: Callable[[str], None] | None, may_take_over: Callable[[], bool]
    ) -> int:
        began = time.monotonic()
        while True:
            try:
                return self._acquire(me, may_take_over)
            except LockHeldError as error:
                patience_s = max(wait_s, AGENT_S) if error.facts.get("by_agent") else wait_s
                if time.monotonic() - began >= patience_s:
                    raise
                if note:
                    note(f"waiting: {error.message}")
                    note = None
                with INTERRUPTS.allowed():
                    time.sleep(WAIT_S)

    def _acquire(self, me: Owner, may_take_over: Callable[[], bool]) -> int:
        request = {"owner": me.to_json(), "alertmanager": self._alertmanager}
        try:
            return int(self._agent.ask("lock acquire", **request)["epoch"])
        except LockHeldError:
            holder = self.holder()
        # The holder is read before its work is judged: if another owner follows meanwhile, the agent refuses.
        if holder and not holder.gone and not may_take_over():
            raise LockHeldError(
                f"another command holds the cutover lock: {holder}",
                remedy="wait with `--wait SECONDS`; if it is dead: `python -m build.cutover lock break --reason ...`",
                facts={"by_agent": holder.owner.is_agent},
            )
        # Its process has ended, or it may be taken over, or it released the lock just now.
        return int(self._agent.ask("lock acquire", takeover=holder.epoch if holder else None, **request)["epoch"])
