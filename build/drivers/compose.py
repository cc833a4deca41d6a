"""Docker Compose on this project's compose.yaml and .env, through python-on-whales (imported when it is asked)."""

# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from build.drivers import files
from build.errors import CommandFailedError

if TYPE_CHECKING:
    from python_on_whales import DockerClient


@contextmanager
def _explained() -> Iterator[None]:
    from python_on_whales.exceptions import DockerException

    try:
        yield
    except DockerException as error:
        words = (error.stderr or "").strip()
        raise CommandFailedError(f"docker compose exited with {error.return_code}", detail=words[-2000:]) from None


class Compose:
    """The stack of one clone. The .env beside compose.yaml is its only variable part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / ".env"

    @cached_property
    def _cli(self) -> DockerClient:
        from python_on_whales import DockerClient

        return DockerClient(
            compose_files=[self.root / "compose.yaml"],
            compose_env_files=[self.env_file],
            compose_project_directory=self.root,
        )

    def write_env(self, text: str) -> None:
        """Replaces .env at once; a reader sees the old file or the new one."""
        if not self.env_file.exists() or self.env_file.read_text() != text:
            files.replace(self.env_file, text)

    def up(self, *services: str) -> None:
        """Creates and starts exactly these services; those that run as described are left alone."""
        with _explained():
            self._cli.compose.up(list(services), detach=True, quiet=True, no_build=True)

    def check(self) -> None:
        """Raises CommandFailedError when compose.yaml with this .env is not valid."""
        with _explained():
            self._cli.compose.config(return_json=True)
