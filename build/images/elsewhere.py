"""Where a build finds images of other builds."""

from __future__ import annotations

from typing import Protocol

from docker.models.images import Image


class Elsewhere(Protocol):
    """A place where others put what they built; names are references here."""

    def fetch(self, name: str) -> Image | None:
        """The image of that name, brought here."""

    def cache(self, name: str) -> str:
        """What BuildKit may know the image by to take layers from it; empty when there is none."""

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; empty when the place does not list them."""
