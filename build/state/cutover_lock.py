"""The cutover lock: one cutover at a time on a target, held by a container's name and kept by a heartbeat.

Creating a name is atomic for all clients of an engine. The container's labels name the owner. The lock expires when
the heartbeat stops for EXPIRY_S by the target's clock since boot, which cannot be set. The next process removes an
expired lock by the container's ID, so that it never removes a new owner's lock.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from docker.errors import APIError
from docker.models.containers import Container

from build.docker.engine import DockerEngine, convert_errors
from build.docker.exec_session import ExecSession, inside
from build.errors import CommandFailedError, LockHeldError, LockLostError, OrchestratorError
from build.system import command

LABEL = "ai.glm-tts.lock."
CONFLICT = 409
ATTEMPTS, RETRY_S, WAIT_S = 50, 0.1, 1.0
EXPIRY_S = 30
BEATS = 6  # beats per EXPIRY_S
QUIET_S = 1.0  # delay of the container's start, which takes 0.3 s of CPU time that a rollback needs
_BEAT = "read -r now _ </proc/uptime && echo ${now%.*} >/tmp/beat"
# A beat leaves the file empty while it writes, which on a busy machine is long enough to be read.
_WATCH = f"""{_BEAT}
last=${{now%.*}}
while [ $((${{now%.*}} - last)) -lt "$1" ]; do
    sleep 1
    read -r now _ </proc/uptime
    read -r beat </tmp/beat && last=$beat
done"""
_BEATER = f"while read -r _; do {_BEAT} && echo '== ok'; done"


@dataclass(frozen=True)
class Owner:
    """The owner of the lock. `started` distinguishes its process from a later one with the same pid."""

    user: str
    host: str
    pid: str
    started: str
    since: str
    what: str
    expired: bool = False

    def __str__(self) -> str:
        ended = " (expired)" if self.expired else " (its process has ended)" if self.gone else ""
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}: {self.what}{ended}"

    @property
    def gone(self) -> bool:
        """True when the lock has expired, or its owner was a process of this machine and has ended."""
        return self.expired or (self.host == _host() and _started(self.pid) != self.started)


def _host() -> str:
    # Boot ID and pid namespace are part of the host: after a reboot or in another container a pid means another
    # process.
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot.read_text()[:8]}/{namespace.readlink()}"


def _started(pid: str) -> str:
    """Return a process's start time in clock ticks since boot (proc(5), field 22); "" if it does not exist."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


class Heartbeat:
    """Keep a lock alive from a thread; `check` raises when the lock is lost.

    The thread also starts the lock's container, after QUIET_S: until then the container's name alone is the lock.
    """

    def __init__(self, container: str, expiry_s: float) -> None:
        self._container = container
        self._expiry_s, self._every_s = expiry_s, expiry_s / BEATS
        self._stop = threading.Event()
        self._lost = ""
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LockLostError if the lock is lost."""
        if self._lost:
            raise LockLostError(
                f"this cutover lost the cutover lock and stopped: {self._lost}",
                remedy="`python -m build.cutover status`; then `resume` or `abort`",
            )

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        session: ExecSession | None = None
        answered = time.monotonic()
        if self._stop.wait(QUIET_S):
            return
        try:
            command.run(["docker", "start", self._container], timeout_s=self._expiry_s)
        except CommandFailedError as error:
            self._lost = error.message
            return
        while not self._stop.is_set():
            try:
                session = session or inside(self._container, "sh", "-c", _BEATER)
                # A busy machine answers late, and opening a new stream is the slowest: allow a long timeout.
                session.ask("beat", timeout_s=self._expiry_s / 2)
                answered = time.monotonic()
            except CommandFailedError as error:
                # The stream can break while the container lives on, so retry until the lock expires.
                if session:
                    session.close()
                session = None
                if time.monotonic() - answered > self._expiry_s:
                    self._lost = error.message
                    return
            self._stop.wait(self._every_s if session else RETRY_S)
        if session:
            session.close()


class CutoverLock:
    def __init__(self, engine: DockerEngine, project: str, expiry_s: int = EXPIRY_S) -> None:
        """`expiry_s`: how long an owner may be silent."""
        self._engine = engine
        self._expiry_s = expiry_s
        self.name = f"{project}-cutover-lock"

    def holder(self) -> Owner | None:
        """Return the current owner, or None."""
        container = self._engine.container(self.name)
        return self._owner(container) if container else None

    @contextmanager
    def held(
        self, image: str, purpose: str, *, wait_s: float = 0, note: Callable[[str], None] | None = None
    ) -> Iterator[Heartbeat]:
        """Hold the lock in the block. `image` is the proxy's, which exists and which no prune removes.

        Args:
            wait_s: how long to wait for another owner.
            note: called once with a message that names the other owner.

        Raises:
            LockHeldError: another process holds the lock; the message says which one, since when and for what.
        """
        container = self._wait(image, purpose, wait_s, note)
        try:
            heartbeat = Heartbeat(str(container.id), self._expiry_s)
            try:
                yield heartbeat
            finally:
                heartbeat.end()
        finally:
            self._engine.remove(container)

    def remove(self) -> Owner | None:
        """Remove the lock by its container's ID; return its owner, or None if the lock was free."""
        container = self._engine.container(self.name)
        if container is None:
            return None
        owner = self._owner(container)
        self._engine.remove(container)
        return owner

    def _wait(self, image: str, purpose: str, wait_s: float, note: Callable[[str], None] | None) -> Container:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return self._take(image, purpose)
            except LockHeldError as error:
                if time.monotonic() >= deadline:
                    raise
                if note:
                    note(f"waiting: {error.message}")
                    note = None
                time.sleep(WAIT_S)

    def _take(self, image: str, purpose: str) -> Container:
        pid = str(os.getpid())
        me = Owner(getpass.getuser(), _host(), pid, _started(pid), datetime.now(UTC).isoformat("T", "seconds"), purpose)
        labels = {LABEL + key: str(value) for key, value in asdict(me).items() if key != "expired"}
        for _ in range(ATTEMPTS):
            with convert_errors():
                try:
                    container = self._engine.client.containers.create(
                        image,
                        entrypoint=["tini", "--", "sh", "-c", _WATCH, "watch", str(self._expiry_s)],
                        name=self.name,
                        labels=labels,
                        network_mode="none",
                        healthcheck={"test": ["NONE"]},  # the image's health check is for a proxy
                    )
                except APIError as error:
                    if error.status_code != CONFLICT:
                        raise
                else:
                    return container
            self._refuse_or_clear()
        raise self._held()

    def _refuse_or_clear(self) -> None:
        """Raise if the owner lives; remove an expired lock by ID, so that a new owner's lock is never hit."""
        container = self._engine.container(self.name)
        if container is None:
            # The engine reserves the name before it shows the container: another process acquires or releases the lock
            # now.
            time.sleep(RETRY_S)
        elif self._owner(container).gone:
            self._engine.remove(container)
        else:
            raise self._held()

    def _owner(self, container: Container) -> Owner:
        labels = {key.removeprefix(LABEL): value for key, value in container.labels.items() if key.startswith(LABEL)}
        named = {name: labels.get(name, "?") for name in Owner.__dataclass_fields__ if name != "expired"}
        status = container.status
        # A container created but not started: its process died in between, or is about to start it.
        expired = status in {"exited", "dead"} or (
            status == "created" and self._engine.age_s(container) > self._expiry_s
        )
        return Owner(**named, expired=expired)

    def _held(self) -> OrchestratorError:
        return LockHeldError(
            f"another command holds the cutover lock: {self.holder() or 'its owner has just released it'}",
            remedy="wait with `--wait SECONDS`; if it is dead: `python -m build.cutover lock break --reason ...`",
        )
