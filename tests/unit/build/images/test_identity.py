"""Environment of a build, and the check of CI's claim against the clone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from build.errors import IdentityError
from build.images.identity import BuildEnvironment, CiClaim, claim, identify
from build.model.commit import Commit
from build.system import command, git

SHA = "a" * 40
COMMIT = Commit(
    sha=SHA, dirty=(), tags=(), branch="main", shallow=False, committed="2026-01-01T00:00:00Z", source="", tree="b" * 40
)


def test_an_exact_tag_means_production_and_names_the_version() -> None:
    found = identify(replace(COMMIT, tags=("v1.9.0", "v1.10.0")), CiClaim())
    assert (found.environment, found.version) == (BuildEnvironment.PRODUCTION, "v1.10.0")


def test_other_commits_are_staging_and_a_dirty_tree_is_local_even_on_a_tag() -> None:
    assert identify(COMMIT, CiClaim()).environment is BuildEnvironment.STAGING
    dirty = identify(replace(COMMIT, tags=("v1",), dirty=("x",)), CiClaim())
    assert (dirty.environment, dirty.version) == (BuildEnvironment.LOCAL, "")


def test_a_detached_head_is_the_ref() -> None:
    assert identify(COMMIT, CiClaim()).ref == "refs/heads/main"
    assert identify(replace(COMMIT, branch=""), CiClaim()).ref == "detached"


def test_the_claim_of_ci_must_agree_with_the_clone() -> None:
    ci = claim(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": SHA,
            "GITHUB_REF": "refs/tags/v2",
            "GITHUB_REF_TYPE": "tag",
            "GITHUB_REF_NAME": "v2",
            "GITHUB_ACTOR": "joe",
            "GITHUB_RUN_ID": "7",
            "GITHUB_RUN_ATTEMPT": "2",
        }
    )
    found = identify(replace(COMMIT, tags=("v2", "v3")), ci)
    assert (found.version, found.ref, found.triggered_by, found.run_id) == ("v2", "refs/tags/v2", "joe", "7-2")
    with pytest.raises(IdentityError, match=f"builds {SHA}, but HEAD is {'c' * 40}"):
        identify(replace(COMMIT, sha="c" * 40), ci)
    with pytest.raises(IdentityError, match="shallow and may lack it"):
        identify(replace(COMMIT, shallow=True), ci)


def test_outside_ci_the_variables_are_ignored() -> None:
    assert claim({"GITHUB_SHA": SHA, "GITHUB_ACTOR": "joe"}) == CiClaim()


@pytest.mark.parametrize(
    "ascending",
    [
        ("v1.9", "v1.10"),
        (
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-alpha.beta",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1.0.0",
        ),
        ("v1.0.0-rc1", "v1.0.0-rc2", "v1.0.0", "v1.0.1-rc1", "v1.0.1"),
        ("v1-rc1", "v1.0.0", "v1.0.1"),
        ("0.9", "v1.0", "2.0"),
        ("nightly", "stable", "v0.1"),
    ],
)
def test_the_highest_version_names_the_release(ascending: tuple[str, ...]) -> None:
    for count in range(1, len(ascending) + 1):
        for tags in (ascending[:count], ascending[count - 1 :: -1]):
            assert identify(replace(COMMIT, tags=tags), CiClaim()).version == ascending[count - 1]
            assert replace(COMMIT, tags=tags).version == ascending[count - 1]


UNFIT = ["release/1.0", "backup/x", "staging", "cache", "pinned-x", "sha256-x", SHA, "小明"]


@pytest.mark.parametrize("tag", [*UNFIT, "v1.2.4+cu128"])
def test_a_tag_that_cannot_name_an_image_is_ignored_if_another_tag_can(tag: str) -> None:
    found = identify(replace(COMMIT, tags=(tag, "v1.2.3")), CiClaim())
    assert (found.environment, found.version, found.ignored_tags) == (BuildEnvironment.PRODUCTION, "v1.2.3", (tag,))


@pytest.mark.parametrize("tag", UNFIT)
def test_a_commit_without_a_version_tag_is_staging(tag: str) -> None:
    found = identify(replace(COMMIT, tags=(tag,)), CiClaim())
    assert (found.environment, found.version, found.ignored_tags) == (BuildEnvironment.STAGING, "", (tag,))
    assert replace(COMMIT, tags=(tag,)).version == ""


def test_a_version_that_cannot_name_an_image_is_an_error() -> None:
    commit = replace(COMMIT, tags=("v1.2.3+cu128", "backup/x"))
    with pytest.raises(IdentityError, match=r"v1\.2\.3\+cu128 cannot be an image's tag"):
        identify(commit, CiClaim())
    assert identify(replace(commit, dirty=("x",)), CiClaim()).environment is BuildEnvironment.LOCAL


@pytest.mark.parametrize("tag", [*UNFIT, "v1.2.3+cu128"])
def test_a_tag_that_ci_builds_must_be_able_to_name_an_image(tag: str) -> None:
    with pytest.raises(IdentityError, match="cannot be an image's tag"):
        identify(replace(COMMIT, tags=(tag, "v1.0.0")), CiClaim(tag=tag))


def test_a_shallow_clone_with_a_detached_head_is_recognised(tmp_path: Path) -> None:
    origin, copy = tmp_path / "origin", tmp_path / "copy"
    as_user = ["-c", "user.name=T", "-c", "user.email=t@example.invalid"]
    command.run(["git", "init", "--quiet", "--initial-branch", "main", str(origin)])
    for message in ("one", "two"):
        command.run(["git", *as_user, "commit", "--quiet", "--allow-empty", "-m", message], cwd=origin)
    for tag in ("v1.10", "v1.9"):
        command.run(["git", "tag", tag], cwd=origin)
    whole = git.read(origin)
    assert (whole.branch, whole.shallow, whole.tags) == ("main", False, ("v1.10", "v1.9"))
    command.run(["git", "clone", "--quiet", "--depth", "1", "--no-tags", origin.as_uri(), str(copy)])
    command.run(["git", "checkout", "--quiet", "--detach"], cwd=copy)
    part = git.read(copy)
    assert (part.sha, part.branch, part.shallow, part.tags) == (whole.sha, "", True, ())
