"""Reader of an image's files as tar streams from the engine: all layers or one folder. It unpacks and runs nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.models.images import Image

from build.docker.engine import DockerEngine, explained
from build.verify.rules import is_app_users, is_package_cache, is_secret, is_unexpected_setuid

HEAD_BYTES = 4096
# The service's own folder, and a path where containers mount a tmpfs anyway.
OWN = ("run/service", "tmp/")


@dataclass
class Found:
    """Forbidden files found in an image's layers, as paths without a leading slash.

    Attributes:
        layers: number of layers read.
        size: bytes of all files; the same in every image store, unlike the engine's figure.
    """

    secrets: list[str] = field(default_factory=list)
    caches: list[str] = field(default_factory=list)
    ownership: list[str] = field(default_factory=list)
    setuid: list[str] = field(default_factory=list)
    layers: int = 0
    size: int = 0


@dataclass
class Folder:
    """Content of a folder of an image.

    Attributes:
        blobs: path -> git blob hash of the file.
        secrets: paths of files with secrets.
        loose: paths that root does not own or that the service's user may write to.
        unreadable: paths that only root may read, for example because of the umask of the build.
    """

    blobs: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class Stream(io.RawIOBase):
    """Read-only file over an iterator of bytes, without seeking."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        # A memoryview, because slicing bytes would copy the rest of the chunk for each small read.
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def scan(image: Image) -> Found:
    """Scan every layer; a file that a later layer deletes is still in the earlier layer."""
    found = Found()
    for _, layer in opened(image):
        found.layers += 1
        for each in layer:
            _look(layer, each, found)
    return found


def opened(image: Image) -> Iterator[tuple[str, tarfile.TarFile]]:
    """Yield every layer with its name in the engine's stream; read it completely before taking the next one."""
    with explained(), _opened(image.save()) as outer:
        for part in outer:
            file = outer.extractfile(part) if part.isfile() else None
            if file is None or part.name.endswith(".json"):
                continue
            try:
                layer = tarfile.open(fileobj=file, mode="r|*")  # noqa: SIM115 - closed below; some engines compress layers
            except tarfile.ReadError:
                continue  # JSON metadata of the image
            with layer:
                yield part.name, layer


def read_folder(engine: DockerEngine, image: Image, path: str) -> Folder:
    """Read a folder of an image through a container that never starts."""
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
    # Skip empty files: lock files and whiteouts.
    if content and each.size and is_package_cache(path):
        found.caches.append(path)
    owned = (each.isreg() or each.isdir()) and is_app_users(each.uid, each.gid, each.mode)
    if owned and not path.startswith(OWN):
        found.ownership.append(path)
    if is_unexpected_setuid(path, each.mode):
        found.setuid.append(path)
