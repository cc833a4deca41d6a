"""Identity of a build: its commit, CI's claim about it, and the environment it may go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from build.errors import IdentityError
from build.model.commit import VERSION, Commit, names_an_image, newest


class BuildEnvironment(StrEnum):
    """Where a build may go: production for an exact git tag, staging for any other commit, local for a dirty tree."""

    PRODUCTION = "production"
    STAGING = "staging"
    LOCAL = "local"


@dataclass(frozen=True)
class CiClaim:
    """What CI claims to build, from GitHub's default variables; a field is empty if CI does not set it."""

    sha: str = ""
    ref: str = ""
    tag: str = ""
    actor: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Identity:
    """The origin of a build, for its labels and its record.

    Attributes:
        version: the git tag in production, otherwise empty.
        ref: refs/heads/..., refs/tags/..., or `detached`.
        triggered_by: the user that started the CI run; empty outside CI.
        ignored_tags: tags of the commit that cannot name an image.
    """

    environment: BuildEnvironment
    version: str
    ref: str
    triggered_by: str
    run_id: str
    ignored_tags: tuple[str, ...] = ()


def claim(environ: Mapping[str, str]) -> CiClaim:
    """Read CI's claim from the variables of GitHub and compatible CI systems; empty outside CI."""
    if not environ.get("GITHUB_ACTIONS"):
        return CiClaim()
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    return CiClaim(
        sha=environ.get("GITHUB_SHA", ""),
        ref=environ.get("GITHUB_REF", ""),
        tag=environ.get("GITHUB_REF_NAME", "") if environ.get("GITHUB_REF_TYPE") == "tag" else "",
        actor=environ.get("GITHUB_ACTOR", ""),
        run_id="-".join(part for part in (environ.get("GITHUB_RUN_ID", ""), attempt) if part),
    )


def identify(commit: Commit, ci: CiClaim) -> Identity:
    """Check CI's claim against the clone and determine the environment.

    Raises:
        IdentityError: CI claims another commit, a tag that is not on the commit, or a tag that cannot name an image; or
            the commit's only version is a tag that cannot name an image.
    """
    if ci.sha and ci.sha != commit.sha:
        raise IdentityError(
            f"CI builds {ci.sha}, but HEAD is {commit.sha}: the image would get the wrong name",
            remedy="check out the commit that started the run, not the merge commit of a pull request",
        )
    if ci.tag and ci.tag not in commit.tags:
        shallow = "; this clone is shallow and may lack it" if commit.shallow else ""
        raise IdentityError(
            f"CI builds the tag {ci.tag}, but the clone has no such tag on {commit.sha}{shallow}",
            remedy=f"run `git fetch origin tag {ci.tag}`, or check out with all tags",
        )
    unfit = tuple(sorted(tag for tag in commit.tags if not names_an_image(tag)))
    version = ci.tag or commit.version or ("" if commit.dirty else newest(filter(VERSION.fullmatch, unfit)))
    if version and not names_an_image(version):
        raise IdentityError(
            f"the git tag {version} cannot be an image's tag",
            remedy="tag releases like v1.2.3: letters, digits, dots and dashes, and none of the project's own tags",
        )
    return Identity(
        environment=_environment(commit, version),
        version="" if commit.dirty else version,
        ref=ci.ref or (f"refs/heads/{commit.branch}" if commit.branch else "detached"),
        triggered_by=ci.actor,
        run_id=ci.run_id,
        ignored_tags=unfit,
    )


def _environment(commit: Commit, version: str) -> BuildEnvironment:
    if commit.dirty:
        return BuildEnvironment.LOCAL
    return BuildEnvironment.PRODUCTION if version else BuildEnvironment.STAGING
