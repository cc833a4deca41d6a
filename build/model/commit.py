"""A git commit, and the rules for tags that can name an image. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Tags that the OCI distribution specification allows.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Tags that the project uses itself: a commit, a channel, a pin, an artifact attached to an image, the build cache.
_TAKEN = re.compile(r"[0-9a-f]{40}(-dirty)?|production|staging|cache|pinned-.*|sha256-.*")
# Semantic Versioning 2.0.0 with any count of numbers: numbers, pre-release, build metadata.
VERSION = re.compile(r"v?(?P<numbers>\d+(?:\.\d+)*)(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Commit:
    """HEAD and the changes in the working tree.

    Attributes:
        sha: full SHA, 40 hex digits.
        dirty: changed and untracked paths; empty for a clean tree.
        tags: all tags on this commit, in no particular order.
        branch: branch name; empty for a detached HEAD.
        shallow: the clone lacks history and may lack tags.
        committed: commit time, ISO 8601.
        source: URL of `origin` without credentials; empty without a remote or with a local path.
        tree: tree of HEAD; a build of a dirty tree also reads the working tree.
    """

    sha: str
    dirty: tuple[str, ...]
    tags: tuple[str, ...]
    branch: str
    shallow: bool
    committed: str
    source: str
    tree: str

    @property
    def release(self) -> str:
        """Name of the release, used as image tag: the SHA, with `-dirty` for a dirty tree."""
        return f"{self.sha}-dirty" if self.dirty else self.sha

    @property
    def version(self) -> str:
        """The highest version among the tags that can name an image; empty if there is none."""
        return newest(filter(names_an_image, self.tags))


def newest(tags: Iterable[str]) -> str:
    """The tag with the highest version by Semantic Versioning precedence; empty without tags.

    Tags that are not versions rank below all versions.
    """
    return max(tags, key=_precedence, default="")


def _precedence(tag: str) -> tuple[object, ...]:
    version = VERSION.fullmatch(tag)
    if not version:
        return (False, tag)
    numbers = [int(number) for number in version["numbers"].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # v1 equals v1.0.0
    identifiers = version["pre"].split(".") if version["pre"] else []
    # Numeric identifiers rank below words, and a release ranks above its pre-releases.
    pre = [
        (False, int(identifier), "") if identifier.isdigit() else (True, 0, identifier) for identifier in identifiers
    ]
    return (True, numbers, not pre, pre, tag)


def names_an_image(tag: str) -> bool:
    return bool(_TAG.fullmatch(tag)) and not _TAKEN.fullmatch(tag)
