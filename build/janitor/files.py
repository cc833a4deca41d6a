"""Survey and removal of records, reports and recordings under out/."""

from __future__ import annotations

import shutil
from pathlib import Path

from build.janitor.retention import Location, StoredItem

RECORDS = ("out/builds", "out/verified", "out/cutovers", "out/gates")
MAX_READ = 1_000_000  # bytes of a file that are searched for the images it mentions


def records(root: Path) -> list[StoredItem]:
    """List every file and folder written by a build, a verification, a cutover or a gate, oldest first."""
    entries = [entry for folder in RECORDS for entry in sorted((root / folder).glob("*"))]
    items = [
        StoredItem(
            Location.FILES,
            str(entry.relative_to(root)),
            size=sum(file.stat().st_size for file in files),
            created=entry.stat().st_mtime,
            modified=max((file.stat().st_mtime for file in files), default=entry.stat().st_mtime),
            text=" ".join([entry.name, *(_text(file) for file in files)]),
        )
        for entry in entries
        for files in [_files(entry)]
    ]
    return sorted(items, key=lambda item: item.modified)


def remove(root: Path, item: StoredItem) -> None:
    """Remove a file or folder; do nothing if it no longer exists."""
    path = root / item.id
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _files(entry: Path) -> list[Path]:
    if entry.is_symlink():
        return []
    return [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]


def _text(file: Path) -> str:
    if file.suffix == ".wav":
        return ""
    with file.open("rb") as stream:
        return stream.read(MAX_READ).decode(errors="replace")
