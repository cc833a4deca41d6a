"""A release: one commit's build, and the image that it is deployed as."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A build of one commit: `sha` as tagged (with `-dirty` for a dirty tree), `image` as deployed.

    `image` is `repo@sha256:...` for a pushed image and the image's own ID otherwise; both name exactly one content.
    """

    sha: str
    image: str

    def __str__(self) -> str:
        return f"{self.sha[:12]}{'-dirty' if self.sha.endswith('-dirty') else ''}"

    @property
    def digest(self) -> str:
        """The part of `image` that starts with `sha256:`."""
        return self.image[self.image.index("sha256:") :]
