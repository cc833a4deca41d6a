"""A small disk: a file system that is gone with its process. It takes no root where users may have namespaces."""

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
    """`folder` is where it is for every process of this user, `own` for those that are started by way of `inside`."""

    folder: Path
    own: Path
    inside: list[str]

    @property
    def free(self) -> int:
        """Bytes that still find room."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def leave(self, size: int) -> None:
        """Fill it, but for so many bytes."""
        with self._ballast.open("ab") as file:
            while (left := self.free - size) >= _BLOCK:
                file.write(bytes(left - left % _BLOCK))
                file.flush()

    def make_room(self) -> None:
        """Take away what `leave` has put there."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of so many bytes, in memory."""
    folder.mkdir()
    root = os.getuid() == 0
    own = ["--mount"] if root else ["--mount", "--map-root-user"]
    told = f'mount -t tmpfs -o size={size} tmpfs "$0" && echo mounted && exec sleep infinity'
    with subprocess.Popen(["unshare", *own, "sh", "-c", told, str(folder)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"mounted\n"
            enter = ["--mount"] if root else ["--mount", "--user", "--preserve-credentials"]
            inside = ["nsenter", f"--target={holder.pid}", *enter, f"--wd={Path.cwd()}"]
            yield Disk(Path(f"/proc/{holder.pid}/root{folder}"), folder, inside)
        finally:
            holder.kill()
