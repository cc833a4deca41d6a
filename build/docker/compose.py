"""Docker Compose with this project's compose.yaml and .env only, ignoring other files and variables it would read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from build.docker import daemon
from build.errors import CommandFailedError
from build.system import command, files

FILE = "compose.yaml"
# Files that a plain `docker compose` merges into compose.yaml.
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)
TIMEOUT_S = 900
_VARIABLE = re.compile(r"\$\{(\w+)")


class Compose:
    """The Compose stack of one clone; only the .env next to compose.yaml varies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / ".env"

    def _run(self, *args: str, **variables: str) -> bytes:
        options = (
            "--file",
            str(self.root / FILE),
            "--env-file",
            str(self.env_file),
            "--project-directory",
            str(self.root),
        )
        argv = ["docker", "compose", *options, *args]
        try:
            environment = {**self._environment(os.environ), **variables}
            return command.run(argv, cwd=self.root, env=environment, timeout_s=TIMEOUT_S)
        except CommandFailedError as error:
            raise CommandFailedError(f"docker compose {args[0]} failed: {error.message}", detail=error.detail) from None

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment without variables that override .env: Compose's own and those used in compose.yaml."""
        used = set(_VARIABLE.findall((self.root / FILE).read_text()))
        variables = daemon.environment(environ)
        return {
            name: value for name, value in variables.items() if name not in used and not name.startswith("COMPOSE_")
        }

    def ignored(self, environ: Mapping[str, str]) -> list[str]:
        """List Compose files and variables that a plain `docker compose` would use but the stack ignores."""
        found = [name for name in OVERRIDES if (self.root / name).exists()]
        return [*found, *(["COMPOSE_FILE"] if environ.get("COMPOSE_FILE", FILE) != FILE else [])]

    def write_env(self, text: str) -> None:
        """Replace .env atomically: a reader sees the old file or the new one."""
        if not self.env_file.exists() or self.env_file.read_text() != text:
            files.replace(self.env_file, text)

    def up(self, *services: str) -> None:
        """Create and start exactly these services; a container that exists is never replaced."""
        self._run("up", "--detach", "--no-build", "--no-recreate", "--quiet-pull", *services)

    def run(self, service: str, *argv: str, **variables: str) -> bytes:
        """Run a command in a new container of a service and return its output; `variables` override .env."""
        options = ("--rm", "--no-deps", "--no-TTY", "--quiet-pull")
        return self._run("run", *options, service, *argv, **variables)

    def check(self) -> None:
        """Raise CommandFailedError if compose.yaml with this .env is invalid."""
        self._run("config", "--quiet")
