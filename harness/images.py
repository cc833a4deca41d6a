"""Images of test servers, on the OS image of bootstrap; BuildKit caches their layers."""

from __future__ import annotations

from pathlib import Path

import docker

from build.images.builder import OS_IMAGES
from build.system import command

LIMIT_S = 600


def os_image() -> str:
    """Return the OS image that exists here."""
    client = docker.from_env(timeout=LIMIT_S)
    try:
        return next(name for name in OS_IMAGES if client.images.list(name=name))
    finally:
        client.close()


def build(tag: str, dockerfile: str, context: Path | None = None) -> None:
    """Build a Dockerfile after replacing {os_image}; `context` is the folder of its files."""
    source = ["--file", "-", str(context)] if context else ["-"]
    argv = ["docker", "buildx", "build", "--quiet", "--tag", tag, *source]
    command.run(argv, stdin=dockerfile.replace("{os_image}", os_image()).encode(), timeout_s=LIMIT_S)
