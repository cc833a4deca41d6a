"""One cutover at a time: the lock is a container's name, because creating it either succeeds or says who has it."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from docker.errors import APIError
from docker.models.containers import Container

from build.drivers.engine import Engine, explained
from build.errors import LockHeldError

LABEL = "ai.glm-tts.lock."
CONFLICT = 409
ATTEMPTS, RETRY_S = 50, 0.1
ASLEEP = ["tini", "--", "sleep", "infinity"]


@dataclass(frozen=True)
class Owner:
    """Who holds the lock. `started` tells a process from a later one that was given the same pid."""

    user: str
    host: str
    pid: str
    started: str
    since: str
    what: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}: {self.what}"

    @property
    def gone(self) -> bool:
        """True when the owner was a process of this machine and has ended."""
        return self.host == _host() and _started(self.pid) != self.started


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


def _owner(container: Container) -> Owner:
    labels = {key.removeprefix(LABEL): value for key, value in container.labels.items() if key.startswith(LABEL)}
    return Owner(**{name: labels.get(name, "?") for name in Owner.__dataclass_fields__})


class Lock:
    def __init__(self, engine: Engine, project: str) -> None:
        self._engine = engine
        self.name = f"{project}-cutover-lock"

    def holder(self) -> Owner | None:
        """Who has it now."""
        container = self._engine.container(self.name)
        return _owner(container) if container else None

    @contextmanager
    def held(self, image: str, what: str) -> Iterator[None]:
        """Holds the lock for the block. `image` is the proxy's: its container sleeps, so that no prune removes it.

        Raises:
            LockHeldError: somebody else has it; the message says who, since when and for what.
        """
        container = self._take(image, what)
        try:
            yield
        finally:
            self._engine.remove(container)

    def _take(self, image: str, what: str) -> Container:
        pid = str(os.getpid())
        me = Owner(getpass.getuser(), _host(), pid, _started(pid), datetime.now(UTC).isoformat("T", "seconds"), what)
        labels = {LABEL + key: value for key, value in asdict(me).items()}
        for _ in range(ATTEMPTS):
            with explained():
                try:
                    container = self._engine.client.containers.create(
                        image, entrypoint=ASLEEP, name=self.name, labels=labels, network_mode="none"
                    )
                except APIError as error:
                    if error.status_code != CONFLICT:
                        raise
                else:
                    container.start()
                    return container
            self._refuse_or_clear()
        raise self._held()

    def _refuse_or_clear(self) -> None:
        """Raises for a holder that lives; removes the lock of one that has ended, by ID: a new owner is never hit."""
        container = self._engine.container(self.name)
        if container is None:
            # The engine takes the name before it shows the container: the holder is just taking it, or just ended.
            time.sleep(RETRY_S)
        elif _owner(container).gone:
            self._engine.remove(container)
        else:
            raise self._held()

    def _held(self) -> LockHeldError:
        return LockHeldError(
            f"another cutover holds the lock: {self.holder() or 'it ended this moment'}",
            remedy="wait for it; if its process is gone for good, `docker rm` the container " + self.name,
        )
