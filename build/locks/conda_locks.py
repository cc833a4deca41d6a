"""Writer of the conda locks: solved from environment.yml's channels, or from another channel under another name."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from build.conda import CondaError, UnreachableError, client, environment, explicit, virtual
from build.conda.environment import CondaEnvironment
from build.conda.explicit import ExplicitLock
from build.conda.standin import channel
from build.docker import oneshot
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import CommandFailedError, OrchestratorError, UsageError
from build.locks import diff, index_file
from build.locks.diff import Difference
from build.locks.index import conda_lock
from build.progress import Progress
from build.system import files

# Image builds mount the stand-in channel here, so its lock contains the same URLs wherever it was solved.
MOUNT = "file:///channel"
_PARTS = ("/linux-64", "/noarch", f"/{channel.LOCK_NAME}")

# Builds the stand-in channel; called only if environment.yml's channels do not answer.
StandinChannel = Callable[[], tuple[DockerEngine, TaggedImage]]


def write(
    root: Path,
    flavour: str,
    progress: Progress,
    standin: StandinChannel,
    channels: Sequence[str] = (),
    glibc: str = virtual.GLIBC,
) -> tuple[str, list[Difference]]:
    """Write a flavour's lock; return its name, which depends on the kind of channel, and the changes.

    Args:
        standin: builds the stand-in channel if environment.yml's channels do not answer.
        channels: names or URLs to use instead of environment.yml's.

    Raises:
        CommandFailedError: the solve failed or no channel answers; no lock was written.
        UsageError: another glibc was given with environment.yml's own channels.
    """
    try:
        lock, genuine = _solve(root, flavour, progress, standin, channels, glibc)
    except CondaError as error:
        raise CommandFailedError(
            f"{error.message}\nNo lock was written.",
            remedy=error.remedy,
        ) from None
    name = conda_lock(flavour, standin=not genuine)
    path = root / name
    before = path.read_text() if path.exists() else ""
    files.replace(path, lock.text())
    if genuine:
        index_file.record(root, name, index_file.conda_command(flavour), f"py-rattler {version('py-rattler')}")
    else:
        progress.note(f"this is not a conda-forge lock: it comes from {', '.join(lock.channels)}, and git ignores it")
    return name, diff.between("conda", before, lock.text())


def _solve(
    root: Path, flavour: str, progress: Progress, standin: StandinChannel, channels: Sequence[str], glibc: str
) -> tuple[ExplicitLock, bool]:
    """Solve the lock; also return whether it is from environment.yml's own channels."""
    requested = environment.load([root / "environment.yml"])
    genuine = not channels or tuple(channels) == requested.channels
    if genuine and glibc != virtual.GLIBC:
        raise UsageError(
            f"--glibc {glibc} does not apply: a lock from {', '.join(requested.channels)} is for glibc {virtual.GLIBC}",
            remedy="remove --glibc, or change GLIBC in build/conda/virtual.py",
        )
    try:
        return asyncio.run(client.solve(requested, channels, glibc, flavour)), genuine
    except UnreachableError as error:
        if channels:
            raise
        progress.note(f"{', '.join(requested.channels)} cannot be reached; using the stand-in channel instead")
        try:
            return _solve_from_standin(requested, flavour, *standin()), False
        except OrchestratorError as second:
            raise CondaError(
                f"{error.message}\nand the stand-in channel is not available: {second.message}",
                remedy=second.remedy or error.remedy,
            ) from None


def _solve_from_standin(
    requested: CondaEnvironment, flavour: str, engine: DockerEngine, image: TaggedImage
) -> ExplicitLock:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unpack_channel(engine, str(image.image.id), folder)
        solved = explicit.parse((folder / channel.LOCK_NAME).read_text(), channel.LOCK_NAME)
        # The channel's packages need the glibc of the system that the channel was made on.
        glibc = virtual.glibc_of(solved.virtual_packages)
        lock = asyncio.run(client.solve(requested, [folder.as_uri()], glibc, flavour))
        packages = tuple(
            replace(package, url=package.url.replace(folder.as_uri(), MOUNT, 1)) for package in lock.packages
        )
    return replace(lock, channels=(MOUNT,), packages=packages)


def unpack_channel(engine: DockerEngine, image: str, folder: Path) -> None:
    """Copy the stand-in channel out of its image and check every package in it.

    Raises:
        CondaError: a package does not match the channel's index.
    """
    oneshot.copy_out(engine, image, _PARTS, folder)
    channel.verify(folder)
