"""Access to the git repository: commit, state of the working tree, and files of a tree. All git calls go through `run`.

`build.system.sources` reads the files that a build needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from build.errors import CommandFailedError, NoRepositoryError
from build.model.commit import Commit
from build.system import command

# git exports these variables to hooks. They would redirect a call to another repository, index or object store.
_REDIRECTING = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_ATTR_SOURCE",
        "GIT_CEILING_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GLOB_PATHSPECS",
        "GIT_GRAFT_FILE",
        "GIT_ICASE_PATHSPECS",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NAMESPACE",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    )
)
# The user's configuration changes what git prints and runs. These options override it for every call.
_NEUTRAL = (
    *("--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs"),
    *("-c", "core.quotePath=false", "-c", "core.safecrlf=false", "-c", "core.splitIndex=false"),
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"),
    # The orchestrator itself runs from this clone, so the clone's owner is already trusted (`sudo make up`, containers
    # in CI).
    *("-c", "safe.directory=*"),
)
EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
TIMEOUT_S = 600
_PATH_AT = 3  # position of the path in a line of `git status --porcelain`, after two state letters and a space


@dataclass(frozen=True)
class TreeEntry:
    """A file in a git tree: mode (six octal digits) and blob hash (hex)."""

    mode: str
    blob: str


def run(root: Path, *args: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> bytes:
    """Run git in a folder with that folder's own repository; return its stdout.

    Args:
        env: variables to set in addition to the environment.

    Raises:
        CommandFailedError: git exited with another code than 0.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
    environment = {**inherited, "LC_ALL": "C", **(env or {})}
    return command.run(["git", *_NEUTRAL, *args], cwd=root, env=environment, stdin=stdin, timeout_s=TIMEOUT_S)


def fields(output: bytes) -> list[str]:
    """Split git's `-z` output into its NUL-terminated fields; file names in any encoding are preserved."""
    return [os.fsdecode(field) for field in output.split(b"\0")[:-1]]


def joined(paths: Iterable[str]) -> bytes:
    """Join paths into NUL-terminated input for git's `-z` option."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _line(root: Path, *args: str) -> str:
    return os.fsdecode(run(root, *args)).rstrip("\n")


def _maybe(root: Path, *args: str) -> str:
    try:
        return _line(root, *args)
    except CommandFailedError:
        return ""


def read(root: Path) -> Commit:
    """Read HEAD of the repository at `root`.

    Raises:
        NoRepositoryError: there is no repository or no commit, or git does not trust the owner of the folder.
    """
    try:
        sha = _line(root, "rev-parse", "--verify", "HEAD^{commit}")
    except CommandFailedError as error:
        raise _no_commit(root, error) from None
    tags = os.fsdecode(run(root, "for-each-ref", "--points-at=HEAD", "--format=%(refname:strip=2)", "refs/tags"))
    return Commit(
        sha=sha,
        dirty=changed(root, untracked="normal"),
        tags=tuple(tags.splitlines()),
        branch=_maybe(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        shallow=_line(root, "rev-parse", "--is-shallow-repository") == "true",
        committed=_line(root, "rev-list", "--max-count=1", "--format=%cI", "HEAD").splitlines()[-1],
        # The URL as configured: `git remote get-url` would apply the user's url.*.insteadOf.
        source=_public_url(_maybe(root, "config", "--get", "remote.origin.url")),
        tree=_line(root, "rev-parse", "HEAD^{tree}"),
    )


def _no_commit(root: Path, error: CommandFailedError) -> NoRepositoryError:
    if "dubious ownership" in error.detail:
        return NoRepositoryError(
            f"git refuses {root}: the folder belongs to another user",
            remedy=f"git config --global --add safe.directory {root}",
            detail=error.detail,
        )
    return NoRepositoryError(
        f"{root} is not a git repository with a commit, but a release is named by its commit",
        remedy="clone the project, or run `git init` and commit",
        detail=error.detail,
    )


def changed(
    root: Path, paths: Sequence[str] = (), *, untracked: str = "all", env: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """List the changed and untracked paths of the working tree, relative to the repository's top folder.

    Args:
        paths: files and folders to check, relative to `root`; empty for all.
        untracked: `all` lists the files of an untracked folder, `normal` names only the folder. git reads no content of
            untracked files.
    """
    flags = ("--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=untracked", f"--untracked-files={untracked}")
    listed = fields(run(root, "status", *flags, "--", *paths, env=env))
    return tuple(line[_PATH_AT:] for line in listed)


def commit_of(root: Path, name: str) -> str:
    """Resolve a git name (short SHA, tag, HEAD~1) to the full SHA of its commit; empty if git does not know it."""
    return _maybe(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")


def is_ancestor(root: Path, older: str, newer: str) -> bool | None:
    """Return whether a commit is a proper ancestor of another; None if this clone does not know both."""
    first, second = commit_of(root, older), commit_of(root, newer)
    if not first or not second:
        return None
    if first != second and _maybe(root, "merge-base", first, second) == first:
        return True
    # A shallow clone lacks the commits in between.
    return None if _line(root, "rev-parse", "--is-shallow-repository") == "true" else False


def tree_files(root: Path, tree: str, paths: Sequence[str]) -> dict[str, TreeEntry]:
    """List the files of a tree or commit under some paths, by path."""
    found = {}
    for line in fields(run(root, "ls-tree", "-r", "-z", tree, "--", *paths)):
        meta, _, path = line.partition("\t")
        mode, _, blob = meta.split()
        found[path] = TreeEntry(mode, blob)
    return found


def _public_url(url: str) -> str:
    """Strip user and password from a remote's URL; empty for a local path or an scp-like address."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        return ""
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
