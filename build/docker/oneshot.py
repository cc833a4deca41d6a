"""Temporary containers: run a command in an image, or copy files out of an image without running it.

Both use only the engine's API, so they work with a remote engine.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from build.docker.engine import DockerEngine, ExecResult, convert_errors
from build.errors import CommandFailedError


def run(
    engine: DockerEngine,
    image: str,
    argv: Sequence[str],
    *,
    limit_s: float = 120,
    network: bool = False,
    **options: Any,
) -> ExecResult:
    """Run argv in a new container of an image (ID or name) with the image's entrypoint, then remove the container.

    The container has no capabilities and a read-only root.

    Args:
        limit_s: time limit in seconds.
        network: give the container a network.
        options: further docker-py options of the container.

    Raises:
        CommandFailedError: the image does not exist, the container cannot start, or it exceeds `limit_s`.
    """
    with convert_errors():
        container = engine.client.containers.create(
            image,
            list(argv),
            network_mode="bridge" if network else "none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            healthcheck={"test": ["NONE"]},
            **options,
        )
    try:
        with convert_errors():
            container.start()
            code = _exit_code(container, image, limit_s)
            return ExecResult(code, container.logs(stderr=False), container.logs(stdout=False))
    finally:
        engine.remove(container)


def _exit_code(container: Container, image: str, limit_s: float) -> int:
    try:
        return int(container.wait(timeout=limit_s)["StatusCode"])
    except (ReadTimeout, RequestsConnectionError) as error:
        if not isinstance(error, ReadTimeout) and "timed out" not in str(error):
            raise
        raise CommandFailedError(
            f"a command in {image} did not finish within {limit_s:.0f} s",
            remedy="run it again when the machine is idle",
        ) from None


def copy_out(engine: DockerEngine, image: str, paths: Sequence[str], into: Path) -> None:
    """Copy files and folders (absolute paths in the image) into a folder, each under its base name.

    Raises:
        CommandFailedError: the image or a path in it does not exist.
    """
    with convert_errors():
        # The container never starts. The engine requires a command if the image has none.
        container = engine.client.containers.create(image, ["none"], network_mode="none")
    try:
        for path in paths:
            with tempfile.TemporaryFile() as copy:
                with convert_errors():
                    for piece in container.get_archive(path)[0]:
                        copy.write(piece)
                copy.seek(0)
                with tarfile.open(fileobj=copy) as archive:
                    archive.extractall(into, filter="data")
    finally:
        engine.remove(container)
