"""Manifest of the weights: a file of hashes that proves at start that the weights are the tested ones.

`write` hashes every file of the folder. `check` compares them: a file with the recorded size and time is trusted, any
other is hashed; `--full` hashes all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.settings import Settings, SettingsError

NAME = "manifest.json"
COMMAND = "python -m service.engines.glm_tts.manifest"

_FORMAT = 1


class ManifestError(Exception):
    """The manifest cannot be read or written; the message states the reason and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One file: its size (bytes), modification time (ns since 1970) and SHA-256 in hex."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Comparison:
    """Result of a check: a line for each file that differs from the record, and how many files were hashed."""

    problems: tuple[str, ...]
    files: int
    hashed: int


def write(folder: Path) -> int:
    """Record every file of `folder` and return their number; raise ManifestError. It reads all files."""
    try:
        entries = {name: _entry(folder / name) for name in _files(folder)}
        if not entries:
            raise ManifestError(f"folder {folder} has no files to record")
        table = {name: vars(entry) for name, entry in sorted(entries.items())}
        new = folder / f".{NAME}.new"  # hidden, so that a concurrent check ignores it
        new.write_text(json.dumps({"format": _FORMAT, "files": table}, indent=1) + "\n", encoding="utf-8")
        new.replace(folder / NAME)
    except OSError as error:
        raise ManifestError(f"cannot write the manifest: {error.strerror}: {error.filename}") from None
    return len(entries)


def check(folder: Path, *, full: bool = False) -> Comparison:
    """Compare `folder` with its manifest; raise ManifestError if the manifest cannot be read."""
    known = _read(folder)
    try:
        present = _files(folder)
    except OSError as error:
        raise ManifestError(f"cannot read the weights: {error.strerror}: {error.filename}") from None
    problems = [f"{name} is missing" for name in sorted(known.keys() - present)]
    problems += [f"{name} is not in the manifest" for name in sorted(present - known.keys())]
    hashed = 0
    for name in sorted(known.keys() & present):
        problem, was_hashed = _compare(folder / name, known[name], full=full)
        hashed += was_hashed
        problems += [f"{name} {problem}"] if problem else []
    return Comparison(tuple(problems), len(known), hashed)


def _compare(path: Path, known: Entry, *, full: bool) -> tuple[str, bool]:
    """Return the problem of a file ("" if none) and whether the file was hashed."""
    try:
        found = path.stat()
        if found.st_size != known.size:
            return f"has {found.st_size} bytes instead of {known.size}", False
        if found.st_mtime_ns == known.mtime_ns and not full:
            return "", False
        # A copy has another time but may have the same content.
        return ("" if _sha256(path) == known.sha256 else "differs from the manifest"), True
    except OSError as error:
        return f"cannot be read: {error.strerror}", False


def _files(folder: Path) -> set[str]:
    """Return the paths of all files relative to `folder`, without the manifest and hidden files of download tools."""
    if not folder.is_dir():
        raise NotADirectoryError(None, "no such folder", str(folder))
    names = set()
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names |= {str(Path(root, name).relative_to(folder)) for name in files if not name.startswith(".")}
    return names - {NAME}


def _raise(error: OSError) -> None:
    raise error


def _entry(path: Path) -> Entry:
    before = path.stat()
    return Entry(before.st_size, before.st_mtime_ns, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, Entry]:
    path = folder / NAME
    remedy = f"if the weights are correct, record them with `{COMMAND} write {folder}`"
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"the weights have no {NAME} and cannot be verified; {remedy}") from None
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ManifestError(f"{path} is not JSON; {remedy}") from None
    try:
        if found["format"] != _FORMAT:
            raise ManifestError(f"{path} has format {found['format']} instead of {_FORMAT}; {remedy}")
        return {name: Entry(**entry) for name, entry in found["files"].items()}
    except (LookupError, TypeError, AttributeError):
        raise ManifestError(f"{path} is not a manifest; {remedy}") from None


def main() -> int:
    """Run the command line: 0 if all files match, 1 if not or if that is unknown, 2 for invalid settings."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writer = commands.add_parser("write", help="hash every file and record it")
    checker = commands.add_parser("check", help="compare the files with the manifest")
    checker.add_argument("--full", action="store_true", help="hash every file, even if its size and time match")
    for command in (writer, checker):
        command.add_argument(
            "folder", nargs="?", type=Path, metavar="FOLDER", help="folder of the weights (default: TTS_GLM_WEIGHTS)"
        )
    arguments = parser.parse_args()
    try:
        folder = (arguments.folder or Settings.from_env(os.environ).glm_weights).absolute()
        if arguments.command == "write":
            sys.stdout.write(f"recorded {write(folder)} files in {folder / NAME}\n")
            return 0
        comparison = check(folder, full=arguments.full)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ManifestError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for problem in comparison.problems:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write(f"checked {comparison.files} files, hashed {comparison.hashed} of them\n")
    return 1 if comparison.problems else 0


if __name__ == "__main__":
    sys.exit(main())
