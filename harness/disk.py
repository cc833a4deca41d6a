"""A small disk: a file system that ends with its process. Needs no root where user namespaces are allowed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096


@dataclass(frozen=True)
class Disk:
    """The mounted disk: `folder` for every process of this user, `own` for commands prefixed by `inside`."""

    folder: Path
    own: Path
    inside: list[str]

    @property
    def free(self) -> int:
        """Free bytes."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def leave(self, size: int) -> None:
        """Fill the disk except for so many bytes."""
        with self._ballast.open("ab") as file:
            while (surplus := self.free - size) >= _BLOCK:
                file.write(bytes(surplus - surplus % _BLOCK))
                file.flush()

    def make_room(self) -> None:
        """Remove the filling of `leave`."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """Mount a disk of so many bytes, in memory."""
    folder.mkdir()
    root = os.getuid() == 0
    own = ["--mount"] if root else ["--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && echo mounted && exec sleep infinity'
    with subprocess.Popen(["unshare", *own, "sh", "-c", script, str(folder)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"mounted\n"
            enter = ["--mount"] if root else ["--mount", "--user", "--preserve-credentials"]
            inside = ["nsenter", f"--target={holder.pid}", *enter, f"--wd={Path.cwd()}"]
            yield Disk(Path(f"/proc/{holder.pid}/root{folder}"), folder, inside)
        finally:
            holder.kill()
