"""Check the target's folder of API keys with the code of a release, in a container of its image."""

from __future__ import annotations

from pathlib import Path

from docker.types import Mount

from build.docker import oneshot
from build.docker.engine import DockerEngine
from build.errors import CommandFailedError

CHECK = Path(__file__).parent / "in_container/keys.py"
INSIDE = "/run/keys"  # as in compose.yaml, like the file name api-keys


def problem(engine: DockerEngine, image: str, folder: str) -> str:
    """Return why a release cannot use the API keys in a folder of the target; "" if it can."""
    mount = Mount(INSIDE, folder, type="bind", read_only=True)  # unlike Compose, does not create a missing folder
    argv = ["python", "-c", CHECK.read_text(), f"{INSIDE}/api-keys"]
    try:
        answer = oneshot.run(engine, image, argv, mounts=[mount])
    except CommandFailedError as error:
        return error.detail or error.message
    return answer.stdout.decode().strip() if not answer.exit_code else answer.error
