"""Reader of an image's files as tar streams from the engine: all layers or one folder. It unpacks and runs nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.models.images import Image

from build.docker.engine import DockerEngine, convert_errors
from build.verify.rules import is_owned_by_app, is_package_cache, is_secret, is_unexpected_setuid

HEAD_BYTES = 4096
# The service's own folder, and a path where containers mount a tmpfs anyway.
WRITABLE = ("run/service", "tmp/")


@dataclass
class LayerScan:
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
        # A memoryview, because slicing bytes would copy the rest of the chunk for entry small read.
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def scan(image: Image) -> LayerScan:
    """Scan every layer; a file that a later layer deletes is still in the earlier layer."""
    found = LayerScan()
    for _, layer in open_layers(image):
        found.layers += 1
        for entry in layer:
            _scan_entry(layer, entry, found)
    return found


def open_layers(image: Image) -> Iterator[tuple[str, tarfile.TarFile]]:
    """Yield every layer with its name in the engine's stream; read it completely before taking the next one."""
    with convert_errors(), _open_tar(image.save()) as outer:
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
    with convert_errors():
        container = engine.client.containers.create(image.id, ["none"])
        try:
            with _open_tar(container.get_archive(path)[0]) as archive:
                for entry in archive:
                    _read_entry(archive, entry, folder)
        finally:
            container.remove(force=True)
    return folder


def _open_tar(chunks: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BufferedReader(Stream(iter(chunks))), mode="r|")


def _read_entry(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Folder) -> None:
    path = entry.name.partition("/")[2]
    if content := archive.extractfile(entry) if entry.isreg() else None:
        data = content.read()
        folder.blobs[path] = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if is_secret(path, data):
            folder.secrets.append(path)
    if entry.uid != 0 or (not entry.issym() and is_owned_by_app(entry.uid, entry.gid, entry.mode)):
        folder.loose.append(path or entry.name)
    if not entry.issym() and entry.mode & (0o005 if entry.isdir() else 0o004) != (0o005 if entry.isdir() else 0o004):
        folder.unreadable.append(path or entry.name)


def _scan_entry(layer: tarfile.TarFile, entry: tarfile.TarInfo, found: LayerScan) -> None:
    path = entry.name.removeprefix("./")
    found.size += entry.size if entry.isreg() else 0
    content = layer.extractfile(entry) if entry.isreg() else None
    if content and is_secret(path, content.read(HEAD_BYTES)):
        found.secrets.append(path)
    # Skip empty files: lock files and whiteouts.
    if content and entry.size and is_package_cache(path):
        found.caches.append(path)
    owned = (entry.isreg() or entry.isdir()) and is_owned_by_app(entry.uid, entry.gid, entry.mode)
    if owned and not path.startswith(WRITABLE):
        found.ownership.append(path)
    if is_unexpected_setuid(path, entry.mode):
        found.setuid.append(path)
