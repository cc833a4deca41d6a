"""Orders for the next start of a container's process, as files on the target: start without a model, use this GPU.

They live in a volume instead of environment variables: Compose sees no changed configuration, and a crashed colour
reads the current orders when it restarts. The state container writes them, the colours read them.
"""

from __future__ import annotations

from build.docker.engine import DockerEngine
from build.errors import CommandFailedError

FOLDER = "/run/orders"


class StartFlags:
    def __init__(self, engine: DockerEngine, container: str) -> None:
        self._engine = engine
        self._container = container

    def usable(self) -> bool:
        """False for a state container that predates orders."""
        return not self._engine.execute(self._container, ["test", "-w", FOLDER]).exit_code

    def park(self, *names: str) -> None:
        """Make each process wait, from its next start on, for a command before it loads its model."""
        self._do(
            " && ".join(
                f"mkdir -p {FOLDER}/{name} && : >{FOLDER}/{name}/park && sync {FOLDER}/{name}" for name in names
            )
        )

    def unpark(self, *names: str) -> None:
        """Make each process load its model by itself from its next start on."""
        self._do(f"rm -f {' '.join(f'{FOLDER}/{name}/park' for name in names)}")

    def write(self, name: str, *, parked: bool, device: str) -> None:
        """Write all orders for the next container of that name; `device` is a GPU's UUID, "" for any."""
        folder = f"{FOLDER}/{name}"
        wanted = [f"{folder}/{flag}" for flag, is_set in (("park", parked), ("device", device)) if is_set]
        script = [f"rm -f {folder}/park {folder}/device"]
        if wanted:
            script += [
                f"mkdir -p {folder}",
                *(f"echo '{device}' >{path}" for path in wanted),
                f"sync {' '.join(wanted)}",
            ]
        self._do(" && ".join(script))

    def _do(self, script: str) -> None:
        answer = self._engine.execute(self._container, ["sh", "-c", script])
        if answer.exit_code:
            raise CommandFailedError(
                f"start orders of the colours cannot be written: {answer.error}",
                remedy="free disk space on the target; if the stack predates start orders: `make down`, then `make up`",
            )
