"""One cutover at a time: a lease on the target, held by a container's name and kept by a heartbeat.

Creating a name is atomic for every client of an engine. The container's labels say who has it; it ends by itself when
its owner has not been heard of for a while, by the target's own clock since boot, which nobody can set. An ended one
may be removed by whoever comes next, by its ID, so that a new owner's is never hit.
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

from build.docker.engine import Engine, explained
from build.docker.exec_session import Conversation, inside
from build.errors import CommandFailedError, LeaseLostError, LineError, LockHeldError
from build.system import command

LABEL = "ai.glm-tts.lock."
CONFLICT = 409
ATTEMPTS, RETRY_S, WAIT_S = 50, 0.1, 1.0
EXPIRY_S = 30
BEATS = 6  # in the time of an expiry
QUIET_S = 1.0  # a start takes a third of a second of CPU, which a way back has better use for
_BEAT = "read -r now _ </proc/uptime && echo ${now%.*} >/tmp/beat"
# The file is empty for as long as a beat is being written, which on a busy machine is long enough to be seen.
_WATCH = f"""{_BEAT}
last=${{now%.*}}
while [ $((${{now%.*}} - last)) -lt "$1" ]; do
    sleep 1
    read -r now _ </proc/uptime
    read -r heard </tmp/beat && last=$heard
done"""
_HEAR = f"while read -r _; do {_BEAT} && echo '== ok'; done"


@dataclass(frozen=True)
class Owner:
    """Who holds the lease. `started` tells a process from a later one that was given the same pid."""

    user: str
    host: str
    pid: str
    started: str
    since: str
    what: str
    expired: bool = False

    def __str__(self) -> str:
        ended = ", not heard of since" if self.expired else ", whose process has ended" if self.gone else ""
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}: {self.what}{ended}"

    @property
    def gone(self) -> bool:
        """True when the lease has expired, or its owner was a process of this machine and has ended."""
        return self.expired or (self.host == _host() and _started(self.pid) != self.started)


def _host() -> str:
    # What a pid means is part of it: after a restart, or in another container, it names another process or none.
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot.read_text()[:8]}/{namespace.readlink()}"


def _started(pid: str) -> str:
    """Start time of a process in clock ticks since boot (proc(5), field 22); empty when there is none."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


class Heartbeat:
    """Keeps a lease alive from a thread of its own; `check` tells whether it still is.

    The thread starts the lease's container, too, a little later: until then the name is what keeps others away.
    """

    def __init__(self, container: str, expiry_s: float) -> None:
        self._container = container
        self._expiry_s, self._every_s = expiry_s, expiry_s / BEATS
        self._stop = threading.Event()
        self._lost = ""
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises LeaseLostError when the lease has ended."""
        if self._lost:
            raise LeaseLostError(
                f"this cutover's lease on the target has ended, so it may change nothing any more: {self._lost}",
                remedy="`python -m build.cutover status`; then `resume` or `abort`",
            )

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        session: Conversation | None = None
        heard = time.monotonic()
        if self._stop.wait(QUIET_S):
            return
        try:
            command.run(["docker", "start", self._container], timeout_s=self._expiry_s)
        except CommandFailedError as error:
            self._lost = error.message
            return
        while not self._stop.is_set():
            try:
                session = session or inside(self._container, "sh", "-c", _HEAR)
                # A busy machine answers late, and takes longest to open a new stream: one is not given up lightly.
                session.ask("beat", timeout_s=self._expiry_s / 2)
                heard = time.monotonic()
            except CommandFailedError as error:
                # A stream can break while the container lives on, which gives us until its patience ends.
                if session:
                    session.close()
                session = None
                if time.monotonic() - heard > self._expiry_s:
                    self._lost = error.message
                    return
            self._stop.wait(self._every_s if session else RETRY_S)
        if session:
            session.close()


class Lease:
    def __init__(self, engine: Engine, project: str, expiry_s: int = EXPIRY_S) -> None:
        """`expiry_s` is how long an owner may stay silent."""
        self._engine = engine
        self._expiry_s = expiry_s
        self.name = f"{project}-cutover-lock"

    def holder(self) -> Owner | None:
        """Who has it now."""
        container = self._engine.container(self.name)
        return self._owner(container) if container else None

    @contextmanager
    def held(
        self, image: str, what: str, *, wait_s: float = 0, note: Callable[[str], None] | None = None
    ) -> Iterator[Heartbeat]:
        """Holds the lease for the block. `image` is the proxy's: it is there, and no prune removes it.

        Args:
            wait_s: how long to wait for another owner to end.
            note: told once whom it is that we wait for.

        Raises:
            LockHeldError: somebody else has it; the message says who, since when and for what.
        """
        container = self._wait(image, what, wait_s, note)
        try:
            heartbeat = Heartbeat(str(container.id), self._expiry_s)
            try:
                yield heartbeat
            finally:
                heartbeat.end()
        finally:
            self._engine.remove(container)

    def remove(self) -> Owner | None:
        """Takes the lease from whoever has it, by its container's ID; the owner, or None when nobody had it."""
        container = self._engine.container(self.name)
        if container is None:
            return None
        owner = self._owner(container)
        self._engine.remove(container)
        return owner

    def _wait(self, image: str, what: str, wait_s: float, note: Callable[[str], None] | None) -> Container:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return self._take(image, what)
            except LockHeldError as error:
                if time.monotonic() >= deadline:
                    raise
                if note:
                    note(f"waiting: {error.message}")
                    note = None
                time.sleep(WAIT_S)

    def _take(self, image: str, what: str) -> Container:
        pid = str(os.getpid())
        me = Owner(getpass.getuser(), _host(), pid, _started(pid), datetime.now(UTC).isoformat("T", "seconds"), what)
        labels = {LABEL + key: str(value) for key, value in asdict(me).items() if key != "expired"}
        for _ in range(ATTEMPTS):
            with explained():
                try:
                    container = self._engine.client.containers.create(
                        image,
                        entrypoint=["tini", "--", "sh", "-c", _WATCH, "watch", str(self._expiry_s)],
                        name=self.name,
                        labels=labels,
                        network_mode="none",
                        healthcheck={"test": ["NONE"]},  # the image's own looks for a proxy
                    )
                except APIError as error:
                    if error.status_code != CONFLICT:
                        raise
                else:
                    return container
            self._refuse_or_clear()
        raise self._held()

    def _refuse_or_clear(self) -> None:
        """Raises for an owner that lives; removes the lease of one that has ended, by ID: a new owner is never hit."""
        container = self._engine.container(self.name)
        if container is None:
            # The engine takes the name before it shows the container: the owner is just taking it, or just ended.
            time.sleep(RETRY_S)
        elif self._owner(container).gone:
            self._engine.remove(container)
        else:
            raise self._held()

    def _owner(self, container: Container) -> Owner:
        labels = {key.removeprefix(LABEL): value for key, value in container.labels.items() if key.startswith(LABEL)}
        named = {name: labels.get(name, "?") for name in Owner.__dataclass_fields__ if name != "expired"}
        status = container.status
        # One that was created and never started belongs to somebody who died in between, or is just about to do it.
        expired = status in {"exited", "dead"} or (
            status == "created" and self._engine.age_s(container) > self._expiry_s
        )
        return Owner(**named, expired=expired)

    def _held(self) -> LineError:
        return LockHeldError(
            f"another cutover holds the lease: {self.holder() or 'it ended this moment'}",
            remedy="wait for it (`--wait SECONDS`); if it is gone for good, `build.cutover lock break --reason ...`",
        )
