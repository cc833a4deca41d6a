"""Files of an image, copied out through the engine's API: nothing in it is run, and a remote engine will do."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from build.drivers.engine import Engine, explained


def copy_out(engine: Engine, image: str, paths: Sequence[str], into: Path) -> None:
    """Copies files and folders (absolute paths in the image) into a folder, each under its last name.

    Raises:
        CommandFailedError: the image or a path in it is not there.
    """
    with explained():
        # Never started; a name for its command is asked for where the image has none.
        container = engine.client.containers.create(image, ["none"], network_mode="none")
    try:
        for path in paths:
            with tempfile.TemporaryFile() as copy:
                with explained():
                    for piece in container.get_archive(path)[0]:
                        copy.write(piece)
                copy.seek(0)
                with tarfile.open(fileobj=copy) as archive:
                    archive.extractall(into, filter="data")
    finally:
        engine.remove(container)
