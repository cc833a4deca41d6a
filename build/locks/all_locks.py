"""Writer of all locks in one run; a lock that cannot be written is reported at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import LocksIncompleteError, OrchestratorError
from build.locks import apt_locks, conda_locks, pip_locks
from build.locks.conda_locks import StandinChannel
from build.locks.diff import Difference
from build.locks.index import conda_lock
from build.model.labels import base_repository
from build.progress import Progress

# Returns a flavour's base image for this tree; builds it if its inputs changed.
Base = Callable[[str], TaggedImage]


@dataclass
class LockResult:
    """Changes in each written lock, and the reason for each lock that was not written."""

    written: dict[str, list[Difference]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


class LockWriter:
    """Writes the pip locks, and the conda and apt locks of some flavours, at `root`."""

    def __init__(
        self,
        root: Path,
        flavours: Sequence[str],
        progress: Progress,
        standin: StandinChannel,
        base: Base,
        *,
        upgrade: bool = False,
    ) -> None:
        self._root, self._flavours, self._progress, self._standin, self._base = root, flavours, progress, standin, base
        self._upgrade = upgrade
        self._outcome = LockResult()

    def run(self) -> LockResult:
        """Write all locks. Pip locks come first, because the bases that give the apt locks are built from them."""
        self._try("pip locks", self._pip)
        for flavour in self._flavours:
            self._try(conda_lock(flavour), partial(self._conda, flavour))
        for flavour in self._flavours:
            self._try(f"apt lock of {flavour}", partial(self._apt, flavour))
        return self._outcome

    def _try(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OrchestratorError as error:
            self._progress.note(f"not written: {error.message}")
            self._outcome.missing.append(f"{name}: {error.message}")

    def _pip(self) -> None:
        self._outcome.written |= pip_locks.write(self._root, self._progress, upgrade=self._upgrade)

    def _conda(self, flavour: str) -> None:
        name, changed = conda_locks.write(self._root, flavour, self._progress, self._standin)
        self._progress.step(name)
        self._outcome.written[name] = changed
        if name != conda_lock(flavour):
            self._outcome.missing.append(
                f"{conda_lock(flavour)}: its channels cannot be reached, so {name} was written instead"
            )

    def _apt(self, flavour: str) -> None:
        engine = DockerEngine()
        if not engine.images(base_repository(flavour)):
            self._progress.note(f"the engine has no base image of {flavour}, so its apt lock is unchanged")
            return
        name, changed = apt_locks.write_apt(engine, self._root, flavour, self._base(flavour))
        self._progress.step(name)
        self._outcome.written[name] = changed


def require(outcome: LockResult) -> None:
    """Raise LocksIncompleteError if a lock could not be written."""
    if outcome.missing:
        raise LocksIncompleteError(
            f"{len(outcome.written)} locks were written, but {len(outcome.missing)} were not",
            detail="\n".join(outcome.missing),
            remedy="run the command again where the channels, the index and the engine can be reached",
        )
