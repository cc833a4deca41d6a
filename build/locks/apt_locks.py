"""Writer of the apt lock from the Debian packages of this tree's base image."""

from __future__ import annotations

from pathlib import Path

from docker.models.images import Image

from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage, standins_of
from build.locks import diff, index_file, inventory_reader
from build.locks.diff import Difference
from build.locks.drift import AptLock
from build.locks.index import apt_lock
from build.system import files


def apt_lock_name(image: Image, flavour: str) -> str:
    """Path of the apt lock that a base image is compared with."""
    return apt_lock(flavour, standin="os" in standins_of(image))


def write_apt(engine: DockerEngine, root: Path, flavour: str, base: TaggedImage) -> tuple[str, list[Difference]]:
    """Write the apt lock of a base image with the time of its packages; return the lock's name and the changes."""
    name = apt_lock_name(base.image, flavour)
    path = root / name
    text = AptLock.from_inventory(inventory_reader.read(engine, str(base.image.id))).render()
    before = path.read_text() if path.exists() else ""
    files.replace(path, text)
    index_file.record(root, name, index_file.apt_command(flavour), "dpkg-query")
    return name, diff.between("apt", before, text)
