"""Who a build is: its commit, what CI claims about it, and which environment it may go to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from build.errors import IdentityError

# What the OCI distribution specification allows as a tag.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Tags that mean something else here: a commit, a channel, a pin, an artifact beside an image, the build cache.
_TAKEN = re.compile(r"[0-9a-f]{40}(-dirty)?|production|staging|cache|pinned-.*|sha256-.*")
# Semantic Versioning 2.0.0 without its rule of three numbers: numbers, pre-release, build metadata.
_VERSION = re.compile(r"v?(?P<numbers>\d+(?:\.\d+)*)(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


class Environment(StrEnum):
    """Where a build may go: production for an exact git tag, staging for any other commit, local for a dirty tree."""

    PRODUCTION = "production"
    STAGING = "staging"
    LOCAL = "local"


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
        return newest(filter(_names_an_image, self.tags))


@dataclass(frozen=True)
class Claim:
    """What CI says it builds (GitHub's default variables); empty where it says nothing."""

    sha: str = ""
    ref: str = ""
    tag: str = ""
    actor: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Identity:
    """What the labels and the record of a build say about where it comes from.

    Attributes:
        version: the git tag in production, else empty.
        ref: refs/heads/..., refs/tags/..., or `detached`.
        triggered_by: who started the run; empty outside CI.
        ignored_tags: tags of the commit that cannot name an image.
    """

    environment: Environment
    version: str
    ref: str
    triggered_by: str
    run_id: str
    ignored_tags: tuple[str, ...] = ()


def claim(environ: Mapping[str, str]) -> Claim:
    """CI's claim, from the variables that GitHub and what imitates it set; nothing outside CI."""
    if not environ.get("GITHUB_ACTIONS"):
        return Claim()
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    return Claim(
        sha=environ.get("GITHUB_SHA", ""),
        ref=environ.get("GITHUB_REF", ""),
        tag=environ.get("GITHUB_REF_NAME", "") if environ.get("GITHUB_REF_TYPE") == "tag" else "",
        actor=environ.get("GITHUB_ACTOR", ""),
        run_id="-".join(part for part in (environ.get("GITHUB_RUN_ID", ""), attempt) if part),
    )


def identify(commit: Commit, said: Claim) -> Identity:
    """Checks CI's claim against the clone, and decides the environment.

    Raises:
        IdentityError: CI claims another commit, a tag that is not on it, or a tag that cannot name an image; or the
            commit's only version is such a tag.
    """
    if said.sha and said.sha != commit.sha:
        raise IdentityError(
            f"CI says that it builds {said.sha}, but HEAD is {commit.sha}: the image would carry the wrong name",
            remedy="check out the commit that started the run (a pull request's merge commit is not it)",
        )
    if said.tag and said.tag not in commit.tags:
        shallow = "; this clone is shallow and may lack it" if commit.shallow else ""
        raise IdentityError(
            f"CI says that {commit.sha} is tagged {said.tag}, but the clone has no such tag on it{shallow}",
            remedy=f"git fetch origin tag {said.tag}, or check out with all tags",
        )
    unfit = tuple(sorted(tag for tag in commit.tags if not _names_an_image(tag)))
    version = said.tag or commit.version or ("" if commit.dirty else newest(filter(_VERSION.fullmatch, unfit)))
    if version and not _names_an_image(version):
        raise IdentityError(
            f"the git tag {version} cannot be an image's tag as well",
            remedy="tag releases as v1.2.3: letters, digits, dot, dash, and no name that the project uses itself",
        )
    return Identity(
        environment=_environment(commit, version),
        version="" if commit.dirty else version,
        ref=said.ref or (f"refs/heads/{commit.branch}" if commit.branch else "detached"),
        triggered_by=said.actor,
        run_id=said.run_id,
        ignored_tags=unfit,
    )


def newest(tags: Iterable[str]) -> str:
    """The tag of the highest version by the precedence of Semantic Versioning; other names come below any version.

    Empty without tags.
    """
    return max(tags, key=_precedence, default="")


def _precedence(tag: str) -> tuple[object, ...]:
    version = _VERSION.fullmatch(tag)
    if not version:
        return (False, tag)
    numbers = [int(number) for number in version["numbers"].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # v1 and v1.0.0 are one version
    identifiers = version["pre"].split(".") if version["pre"] else []
    # Numbers come below words, and a release above all its pre-releases.
    pre = [(False, int(each), "") if each.isdigit() else (True, 0, each) for each in identifiers]
    return (True, numbers, not pre, pre, tag)


def _names_an_image(tag: str) -> bool:
    return bool(_TAG.fullmatch(tag)) and not _TAKEN.fullmatch(tag)


def _environment(commit: Commit, version: str) -> Environment:
    if commit.dirty:
        return Environment.LOCAL
    return Environment.PRODUCTION if version else Environment.STAGING
