"""Docker Compose with this project's files only, ignoring other files and variables it would read.

compose.yaml is a template that the orchestrator renders. compose.running.yaml describes the stack that runs; .env names
it, so that a plain `docker compose` uses it too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from build.docker import daemon
from build.errors import CommandFailedError
from build.model.compose_document import Document
from build.system import command, files

TEMPLATE = "compose.yaml"
RUNNING = "compose.running.yaml"
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
    """The Compose stack of one clone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / ".env"
        self.template = root / TEMPLATE
        self.running_file = root / RUNNING

    def _run(self, file: Path, env_file: str, environment: Mapping[str, str], *args: str) -> bytes:
        options = ("--file", str(file), "--env-file", env_file, "--project-directory", str(self.root))
        argv = ["docker", "compose", *options, *args]
        try:
            return command.run(argv, cwd=self.root, env=environment, timeout_s=TIMEOUT_S)
        except CommandFailedError as error:
            action = next(word for word in args if not word.startswith(("-", "*")))
            raise CommandFailedError(f"docker compose {action} failed: {error.message}", detail=error.detail) from None

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment without variables that Compose reads: its own and those used in compose.yaml."""
        used = set(_VARIABLE.findall(self.template.read_text()))
        variables = daemon.environment(environ)
        return {
            name: value for name, value in variables.items() if name not in used and not name.startswith("COMPOSE_")
        }

    def ignored(self, environ: Mapping[str, str]) -> list[str]:
        """List Compose files and variables that a plain `docker compose` would use but the stack ignores."""
        found = [name for name in OVERRIDES if (self.root / name).exists()]
        return [*found, *(["COMPOSE_FILE"] if environ.get("COMPOSE_FILE", RUNNING) != RUNNING else [])]

    def render(self, variables: Mapping[str, str]) -> Document:
        """Return compose.yaml with its variables replaced; raise CommandFailedError if it is invalid."""
        environment = {**self._environment(os.environ), **variables}
        text = self._run(self.template, os.devnull, environment, "--profile", "*", "config", "--format", "json")
        document: Document = json.loads(text)
        return document

    def stored(self) -> Document | None:
        """Return the stored description of the running stack; None if there is none, or it does not parse."""
        try:
            found = json.loads(self.running_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("services"), dict) else None

    def store(self, env: str, document: Document | None) -> None:
        """Replace the description of the stack and .env, each atomically: a reader sees the old file or the new one."""
        if document is not None:
            # JSON is YAML.
            _replace(self.running_file, json.dumps(document, indent=1) + "\n")
        _replace(self.env_file, env)

    def up(self, *services: str) -> None:
        """Create and start exactly these services; a container that exists is never replaced."""
        options = ("--detach", "--no-build", "--no-recreate", "--quiet-pull")
        self._run(self.running_file, str(self.env_file), self._environment(os.environ), "up", *options, *services)

    def run(self, variables: Mapping[str, str], service: str, *argv: str) -> bytes:
        """Run a command in a new container of a service, as compose.yaml with `variables` says; return its output."""
        environment = {**self._environment(os.environ), **variables}
        options = ("--rm", "--no-deps", "--no-TTY", "--quiet-pull")
        return self._run(self.template, os.devnull, environment, "run", *options, service, *argv)


def _replace(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        files.replace(path, text)
