"""A release: the build of one commit and the image that is deployed."""

from __future__ import annotations

from dataclasses import dataclass


def short_sha(sha: str) -> str:
    """First 12 digits of a release's SHA, with `-dirty` for a dirty tree."""
    return f"{sha[:12]}{'-dirty' if sha.endswith('-dirty') else ''}"


@dataclass(frozen=True)
class Release:
    """The build of one commit.

    Attributes:
        sha: SHA as tagged, with `-dirty` for a dirty tree.
        image: `repo@sha256:...` for a pushed image, otherwise the image ID; both identify exactly one content.
    """

    sha: str
    image: str

    def __str__(self) -> str:
        return short_sha(self.sha)

    @property
    def digest(self) -> str:
        """The `sha256:...` part of `image`."""
        return self.image[self.image.index("sha256:") :]
