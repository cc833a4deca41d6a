"""The repository: which commit this is, whether the tree is clean, and its files as they would be committed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from build.decisions.identity import Commit
from build.drivers import command
from build.errors import CommandFailedError, NoRepositoryError


def _git(root: Path, *args: str, env: dict[str, str] | None = None) -> str:
    return command.run(["git", *args], cwd=root, env=env).decode().rstrip("\n")


def _maybe(root: Path, *args: str) -> str:
    try:
        return _git(root, *args)
    except CommandFailedError:
        return ""


def read(root: Path) -> Commit:
    """The commit that `root` stands on.

    Raises:
        NoRepositoryError: no repository, or no commit yet.
    """
    try:
        sha = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    except CommandFailedError as error:
        raise NoRepositoryError(
            f"{root} is not a git repository with a commit, and a release is known by its commit",
            remedy="clone the project, or `git init` and commit",
            detail=error.detail,
        ) from None
    dirty = tuple(line[3:] for line in _git(root, "status", "--porcelain").splitlines())
    return Commit(
        sha=sha,
        dirty=dirty,
        tags=tuple(_git(root, "tag", "--points-at", "HEAD", "--sort=version:refname").splitlines()),
        branch=_maybe(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        shallow=_git(root, "rev-parse", "--is-shallow-repository") == "true",
        committed=_git(root, "show", "-s", "--format=%cI", "HEAD"),
        source=_public_url(_maybe(root, "remote", "get-url", "origin")),
        tree=_working_tree(root) if dirty else _git(root, "rev-parse", "HEAD^{tree}"),
    )


def commit_of(root: Path, name: str) -> str:
    """The full SHA of whatever git knows by that name (a short SHA, a tag, HEAD~1); empty when it knows none."""
    return _maybe(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")


def _working_tree(root: Path) -> str:
    """Writes the working tree, untracked files included and ignored ones not, as a git tree; the real index stays."""
    with tempfile.TemporaryDirectory() as scratch:
        env = {**os.environ, "GIT_INDEX_FILE": str(Path(scratch, "index"))}
        _git(root, "read-tree", "HEAD", env=env)
        _git(root, "add", "--all", env=env)
        return _git(root, "write-tree", env=env)


def _public_url(url: str) -> str:
    """A remote without user and password; nothing for a path on this machine or an scp-like address with a user."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        return ""
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def export(root: Path, tree: str, paths: tuple[str, ...], into: Path) -> None:
    """Unpacks `paths` of a tree into a folder: a build context with nothing in it that is not in git."""
    archive = command.run(["git", "archive", tree, "--", *paths], cwd=root)
    command.run(["tar", "--extract", "--directory", str(into)], stdin=archive)


def identity_of(root: Path, tree: str, paths: tuple[str, ...]) -> str:
    """Names and contents of `paths` in a tree as git knows them: equal text means equal files."""
    return _git(root, "ls-tree", "-r", tree, "--", *paths)
