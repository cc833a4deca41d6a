"""Interface to a place with images of other builds."""

from __future__ import annotations

from typing import Protocol

from docker.models.images import Image


class RemoteCache(Protocol):
    """A place where other builds publish their images; names are references without a registry."""

    def fetch(self, name: str) -> Image | None:
        """Pull an image by name to the engine; None if the place does not have it."""

    def cache(self, name: str) -> str:
        """The reference that BuildKit can use as cache; empty if there is no such image."""

    def tags(self, repository: str) -> list[str]:
        """List the tags of a repository; empty if the place does not list them."""
