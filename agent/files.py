"""Durable files: what a function has returned from is on the disk."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a file as a whole: after a crash it has the old content or the new one."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        new.chmod(mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make creations and renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
