"""Reader of an image's inventory, by running build/locks/in_image/inventory.py in it."""

from __future__ import annotations

from pathlib import Path

from build.docker import oneshot
from build.docker.engine import DockerEngine
from build.errors import CommandFailedError
from build.locks import inventory
from build.locks.inventory import Inventory

_SCRIPT = Path(__file__).parent / "in_image/inventory.py"


def read(engine: DockerEngine, image_id: str) -> Inventory:
    """Read the inventory of an image in a container without network and mounts.

    The image's own entrypoint activates the environment.

    Raises:
        CommandFailedError: the image does not exist, or the script fails in it.
    """
    answer = oneshot.run(engine, image_id, ["python", "-I", "-c", _SCRIPT.read_text()])
    try:
        if answer.exit_code == 0:
            return inventory.parse(answer.text)
        reason = f"its Python exited with code {answer.exit_code}"
    except ValueError as error:
        reason = str(error)
    raise CommandFailedError(
        f"the packages of {image_id} cannot be read: {reason}",
        detail=answer.error,
        remedy="choose an image of this project: `python -m build.images` builds one",
    )
