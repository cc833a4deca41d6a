"""Reader and writer of locks/index.json, which records each lock's inputs so that a stale lock is detected offline."""

from __future__ import annotations

import json
from pathlib import Path

from build.conda import CondaError, environment, virtual
from build.errors import LockStaleError, MissingFileError
from build.locks import index as pure
from build.locks.index import FLAVOURS, INDEX, LockIndexEntry
from build.system import files

PIP_COMMAND = "python -m build.lock pip"


def conda_command(flavour: str) -> str:
    return f"python -m build.lock conda --flavour {flavour}"


def apt_command(flavour: str) -> str:
    return f"python -m build.lock apt --flavour {flavour}"


def record(root: Path, name: str, command: str, tool: str) -> None:
    """Record the inputs of the lock `name` (path relative to `root`) that was just written."""
    index = _read(root)
    index[name] = LockIndexEntry(_inputs(root, name), pure.sha256((root / name).read_text()), command, tool)
    files.replace(root / INDEX, pure.dump(index))


def check(root: Path) -> int:
    """Compare every lock with its inputs; return the number of locks. It only reads files.

    Raises:
        LockStaleError: lists each lock that is stale, edited or missing, with the reason and the command to run.
        MissingFileError: an input does not exist.
    """
    index = _read(root)
    locks = {name: pure.sha256((root / name).read_text()) for name in _present(root)}
    inputs = {name: _inputs(root, name) for name in index}
    stale = pure.judge(index, locks, inputs, {f"locks/{name}.txt": PIP_COMMAND for name in pure.PIP_LOCKS})
    if stale:
        raise LockStaleError(
            f"{len(stale)} of {len(index.keys() | locks.keys())} locks do not match their inputs",
            detail="\n".join(f"{entry.lock}: {entry.why} ({entry.command})" for entry in stale),
            remedy="; ".join(dict.fromkeys(entry.command for entry in stale)),
        )
    return len(locks)


def lock_hashes(flavour: str, root: Path | None = None) -> dict[str, str]:
    """File name -> sha256 (hex) of each lock of a flavour's base image, for labels and records.

    The hashes are of the current files, so they are correct for an edited lock too. `root` defaults to the current
    folder.
    """
    root = root or Path.cwd()
    names = pure.of_flavour(_present(root), flavour)
    return {Path(name).name: pure.sha256((root / name).read_text()) for name in names}


def _present(root: Path) -> list[str]:
    # Conda locks of a stand-in channel are excluded: they fit one machine's channel and are not in git.
    patterns = ("*.txt", "conda-forge-*.lock")
    return sorted(f"locks/{path.name}" for pattern in patterns for path in (root / "locks").glob(pattern))


def _read(root: Path) -> dict[str, LockIndexEntry]:
    path = root / INDEX
    if not path.exists():
        return {}
    try:
        return pure.parse(path.read_text())
    except ValueError as error:
        raise LockStaleError(f"{INDEX} cannot be read: {error}", remedy=f"git checkout {INDEX}") from None


def _inputs(root: Path, name: str) -> dict[str, str]:
    """Inputs that determine a lock: name -> sha256."""
    stem = Path(name).name
    flavour = next((name for name in FLAVOURS if f"-{name}" in stem), "")
    if stem.startswith("apt-"):
        texts = _apt_inputs(root)
    elif stem.endswith(".lock"):
        texts = _conda_inputs(root, flavour)
    else:
        texts = pure.requirements(str(Path(name).with_suffix(".in")), lambda path: _text(root, path))
        texts["platform"] = " ".join(pure.PIP_PLATFORM)
    return {source: pure.sha256(text) for source, text in texts.items()}


def _conda_inputs(root: Path, flavour: str) -> dict[str, str]:
    try:
        requested = environment.load([root / "environment.yml"])
    except CondaError as error:
        raise MissingFileError(error.message, remedy=error.remedy) from None
    # The pip section is ignored: its packages are installed from the pip locks.
    return {
        "environment.yml": json.dumps([requested.channels, requested.specs]),
        "virtual packages": " ".join(virtual.packages(flavour)),
    }


def _apt_inputs(root: Path) -> dict[str, str]:
    # Only the parent images and the packages that prepare-os installs determine the Debian packages.
    return {
        "Dockerfile.base": _lines(root, "Dockerfile.base", "ARG OS_IMAGE=", "ARG CUDA_IMAGE="),
        "build/conda/image/prepare-os": _lines(root, "build/conda/image/prepare-os", "PACKAGES="),
    }


def _lines(root: Path, path: str, *beginnings: str) -> str:
    return "\n".join(line for line in _text(root, path).splitlines() if line.startswith(beginnings))


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_text()
    except OSError as error:
        raise MissingFileError(
            f"{path} cannot be read: {error.strerror}; a lock depends on it", remedy=f"git checkout {path}"
        ) from None
