"""Reads an image's files as tar streams from the engine: every layer, or one folder. Nothing is unpacked or run."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.models.images import Image

from build.docker.engine import Engine, explained
from build.verify.rules import is_app_users, is_package_cache, is_secret, is_unexpected_setuid

HEAD_BYTES = 4096
# The service's own, and where a container has a memory of its own mounted anyway.
OWN = ("run/service", "tmp/")


@dataclass
class Found:
    """What no layer may hold, each as paths without a leading slash; how many layers were read, and their files' bytes.

    `size` is the same in every image store, unlike the engine's own figure.
    """

    secrets: list[str] = field(default_factory=list)
    caches: list[str] = field(default_factory=list)
    ownership: list[str] = field(default_factory=list)
    setuid: list[str] = field(default_factory=list)
    layers: int = 0
    size: int = 0


@dataclass
class Folder:
    """What a folder of an image holds.

    Attributes:
        blobs: path -> git's name of the file's content.
        loose: what is not root's alone.
        unreadable: what only root may read, as under a builder's own umask.
    """

    blobs: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class Stream(io.RawIOBase):
    """An iterator of bytes as a file that is read once, from front to end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        # A view, because a slice of bytes would copy the rest of the chunk for each small read.
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def scan(image: Image) -> Found:
    """Looks into every layer; a file that a later layer deletes is still in the one that brought it."""
    found = Found()
    for _, layer in opened(image):
        found.layers += 1
        for each in layer:
            _look(layer, each, found)
    return found


def opened(image: Image) -> Iterator[tuple[str, tarfile.TarFile]]:
    """Every layer under the name that the engine sends it by, to be read to its end before the next one."""
    with explained(), _opened(image.save()) as outer:
        for part in outer:
            file = outer.extractfile(part) if part.isfile() else None
            if file is None or part.name.endswith(".json"):
                continue
            try:
                layer = tarfile.open(fileobj=file, mode="r|*")  # noqa: SIM115 - closed below; some engines compress layers
            except tarfile.ReadError:
                continue  # an image's own JSON
            with layer:
                yield part.name, layer


def read_folder(engine: Engine, image: Image, path: str) -> Folder:
    """Reads a folder of an image through a container that is never started."""
    folder = Folder()
    with explained():
        container = engine.client.containers.create(image.id, ["none"])
        try:
            with _opened(container.get_archive(path)[0]) as archive:
                for each in archive:
                    _read(archive, each, folder)
        finally:
            container.remove(force=True)
    return folder


def _opened(chunks: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BufferedReader(Stream(iter(chunks))), mode="r|")


def _read(archive: tarfile.TarFile, each: tarfile.TarInfo, folder: Folder) -> None:
    path = each.name.partition("/")[2]
    if content := archive.extractfile(each) if each.isreg() else None:
        data = content.read()
        folder.blobs[path] = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if is_secret(path, data):
            folder.secrets.append(path)
    if each.uid != 0 or (not each.issym() and is_app_users(each.uid, each.gid, each.mode)):
        folder.loose.append(path or each.name)
    if not each.issym() and each.mode & (0o005 if each.isdir() else 0o004) != (0o005 if each.isdir() else 0o004):
        folder.unreadable.append(path or each.name)


def _look(layer: tarfile.TarFile, each: tarfile.TarInfo, found: Found) -> None:
    path = each.name.removeprefix("./")
    found.size += each.size if each.isreg() else 0
    content = layer.extractfile(each) if each.isreg() else None
    if content and is_secret(path, content.read(HEAD_BYTES)):
        found.secrets.append(path)
    # Locks and whiteouts are empty.
    if content and each.size and is_package_cache(path):
        found.caches.append(path)
    owned = (each.isreg() or each.isdir()) and is_app_users(each.uid, each.gid, each.mode)
    if owned and not path.startswith(OWN):
        found.ownership.append(path)
    if is_unexpected_setuid(path, each.mode):
        found.setuid.append(path)
