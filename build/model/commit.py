"""A commit as git describes it, and which of its tags can name an image."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# What the OCI distribution specification allows as a tag.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Tags that mean something else here: a commit, a channel, a pin, an artifact beside an image, the build cache.
_TAKEN = re.compile(r"[0-9a-f]{40}(-dirty)?|production|staging|cache|pinned-.*|sha256-.*")
# Semantic Versioning 2.0.0 without its rule of three numbers: numbers, pre-release, build metadata.
VERSION = re.compile(r"v?(?P<numbers>\d+(?:\.\d+)*)(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Commit:
    """HEAD, and how the working tree differs from it.

    Attributes:
        sha: full, 40 hex digits.
        dirty: the changed and untracked paths, empty for a clean tree.
        tags: every tag on this commit, in no particular order.
        branch: the branch's name, empty for a detached HEAD.
        shallow: the clone lacks history, and with it maybe tags.
        committed: commit time, ISO 8601.
        source: URL of `origin` without credentials, empty without a remote or with a local one.
        tree: HEAD's tree; a build of a dirty tree reads the working tree as well.
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
        """What its images are tagged and known by."""
        return f"{self.sha}-dirty" if self.dirty else self.sha

    @property
    def version(self) -> str:
        """The highest version among the tags that can name an image; empty without one."""
        return newest(filter(names_an_image, self.tags))


def newest(tags: Iterable[str]) -> str:
    """The tag of the highest version by the precedence of Semantic Versioning; other names come below any version.

    Empty without tags.
    """
    return max(tags, key=_precedence, default="")


def _precedence(tag: str) -> tuple[object, ...]:
    version = VERSION.fullmatch(tag)
    if not version:
        return (False, tag)
    numbers = [int(number) for number in version["numbers"].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # v1 and v1.0.0 are one version
    identifiers = version["pre"].split(".") if version["pre"] else []
    # Numbers come below words, and a release above all its pre-releases.
    pre = [(False, int(each), "") if each.isdigit() else (True, 0, each) for each in identifiers]
    return (True, numbers, not pre, pre, tag)


def names_an_image(tag: str) -> bool:
    return bool(_TAG.fullmatch(tag)) and not _TAKEN.fullmatch(tag)
