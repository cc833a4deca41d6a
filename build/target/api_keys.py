"""The folder of API keys on the target, as a release sees it: in a container of its image, and no other way."""

from __future__ import annotations

from pathlib import Path

from docker.types import Mount

from build.docker import oneshot
from build.docker.engine import Engine
from build.errors import CommandFailedError

CHECK = Path(__file__).parent / "in_container/keys.py"
INSIDE = "/run/keys"  # of compose.yaml, as the file's name is


def trouble(engine: Engine, image: str, folder: str) -> str:
    """Why a release could not use the keys in a folder of the target; empty when it can."""
    mount = Mount(INSIDE, folder, type="bind", read_only=True)  # makes no folder where there is none, as Compose would
    argv = ["python", "-c", CHECK.read_text(), f"{INSIDE}/api-keys"]
    try:
        answer = oneshot.run(engine, image, argv, mounts=[mount])
    except CommandFailedError as error:
        return error.detail or error.message
    return answer.stdout.decode().strip() if not answer.exit_code else answer.error
