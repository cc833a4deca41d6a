"""Docker Compose on this project's compose.yaml and .env, by its command line."""

from __future__ import annotations

from pathlib import Path

from build.drivers import command, files

LIMIT_S = 600  # an engine under load takes its time to create a container


class Compose:
    """The stack of one clone. The .env beside compose.yaml is its only variable part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / ".env"

    def write_env(self, text: str) -> None:
        """Replaces .env at once; a reader sees the old file or the new one."""
        if not self.env_file.exists() or self.env_file.read_text() != text:
            files.replace(self.env_file, text)

    def up(self, *services: str) -> None:
        """Creates and starts exactly these services; those that run as described are left alone."""
        self._run("up", "--detach", "--no-build", *services)

    def check(self) -> None:
        """Raises CommandFailedError when compose.yaml with this .env is not valid."""
        self._run("config", "--quiet")

    def _run(self, *args: str) -> None:
        files = ["--project-directory", self.root, "--file", self.root / "compose.yaml", "--env-file", self.env_file]
        command.run(["docker", "compose", *map(str, files), *args], timeout_s=LIMIT_S)
