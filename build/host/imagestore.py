"""Location and size of the engine's images, for both image stores."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docker.models.images import Image

from build.docker import daemon, imagestore
from build.docker.engine import DockerEngine, convert_errors
from build.host import machine

CONTAINERD_CONFIG = Path("/etc/containerd/config.toml")


def free_bytes(engine: DockerEngine) -> int | None:
    """Free disk (bytes) where the engine keeps its images; None if the engine is on another machine.

    If two disks may hold the images, the smaller value counts.
    """
    if not daemon.is_local():
        return None
    paths = imagestore.disk_paths(engine.info(), _containerd_root())
    known = [free for path in paths if (free := machine.free_bytes(path)) is not None]
    return min(known, default=None)


def unpacked_bytes(image: Image) -> int:
    """Size (bytes) of an image's unpacked layers; in containerd's store, `Size` is the packed size."""
    with convert_errors():
        return sum(int(step["Size"]) for step in image.history())


def _containerd_root() -> str:
    try:
        return str(tomllib.loads(CONTAINERD_CONFIG.read_text()).get("root", ""))
    except (OSError, ValueError):
        return ""
