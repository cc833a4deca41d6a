"""Reading of the repository, independent of the user's git settings and of a hook's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build.errors import CommandFailedError, NoRepositoryError
from build.system import command, git
from build.system.sources import Sources
from harness.repository import Repository, repository

__all__ = ["repository"]

UNUSUAL = ("voices/小明.wav", 'voices/"quoted".wav', "voices/a b.wav", "voices/two\nlines.wav", "voices/tab\t.wav")


def test_names_in_any_script_are_read_regardless_of_core_quotepath(repository: Repository) -> None:
    repository.write(dict.fromkeys(UNUSUAL, "sound"))
    repository.commit()
    for value in ("true", "false"):
        repository.git("config", "core.quotePath", value)
        assert git.tree_files(repository.root, "HEAD", ("voices",)).keys() == set(UNUSUAL)


def test_changed_paths_are_listed_unquoted(repository: Repository) -> None:
    repository.write({**dict.fromkeys(UNUSUAL, "sound"), "old": "moved"})
    repository.commit()
    repository.write({**dict.fromkeys(UNUSUAL, "other sound"), "new -> er": "untracked"})
    repository.git("mv", "old", "new")
    assert set(git.read(repository.root).dirty) == {*UNUSUAL, "new -> er", "old", "new"}


# Settings that are common in ~/.gitconfig.
USERS_SETTINGS = {
    "log.showSignature": "true",
    "log.date": "relative",
    "format.pretty": "fuller",
    "color.ui": "always",
    "color.status": "always",
    "core.pager": "false",
    "status.showUntrackedFiles": "no",
    "status.short": "true",
    "status.branch": "true",
    "status.relativePaths": "true",
    "status.renames": "copies",
    "tag.sort": "-version:refname",
    "core.abbrev": "4",
    "diff.noprefix": "true",
    "column.ui": "always",
    "url.git@example.org:.insteadOf": "https://example.org/",
}


def test_the_settings_of_the_user_do_not_change_the_result(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write({"service/a.py": "1"})
    repository.sign_and_commit()
    repository.git("remote", "add", "origin", "https://user:secret@example.org/team/line.git")
    for tag in ("v1.9", "v1.10"):
        repository.git("tag", tag)
    (repository.root / "untracked").write_text("x")
    plain = git.read(repository.root)
    assert plain.dirty == ("untracked",)
    assert plain.committed == "2026-01-02T03:04:05+00:00"
    assert plain.source == "https://example.org/team/line.git"
    for name, value in USERS_SETTINGS.items():
        repository.git("config", "--global", name, value)
    monkeypatch.setenv("GIT_PAGER", "false")
    assert git.read(repository.root) == plain


def test_the_environment_of_a_hook_does_not_redirect_git(repository: Repository, tmp_path: Path) -> None:
    """A commit in another repository runs its hook with variables that point to that repository."""
    other = tmp_path / "other"
    command.run(["git", "clone", "--quiet", str(repository.root), str(other)])
    repository.write({"service/a.py": "2"})
    sha = repository.commit()
    hook = other / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\nenv | grep ^GIT_ >"$EXPORTED"\n')
    hook.chmod(0o755)
    exported_file = tmp_path / "exported"
    env = {**os.environ, "EXPORTED": str(exported_file), "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)}
    author = ("-c", "user.name=T", "-c", "user.email=t@example.invalid")
    command.run(["git", *author, "commit", "--quiet", "--allow-empty", "-m", "elsewhere"], cwd=tmp_path, env=env)
    exported = dict(line.partition("=")[::2] for line in exported_file.read_text().splitlines())
    assert {"GIT_DIR", "GIT_INDEX_FILE"} <= exported.keys()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in exported.items():
            patch.setenv(name, value)
        patch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "nowhere"))
        found = git.read(repository.root)
    assert (found.sha, found.dirty) == (sha, ())


def test_reading_runs_no_hook_and_does_not_write(repository: Repository, tmp_path: Path) -> None:
    repository.write({"service/a.py": "1"})
    repository.commit()
    ran = tmp_path / "ran"
    for name in ("post-index-change", "query-watchman"):
        path = repository.root / ".git/hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {ran}\n")
        path.chmod(0o755)
    repository.git("config", "core.fsmonitor", str(repository.root / ".git/hooks/query-watchman"))
    repository.write({"service/a.py": "2"})
    index = (repository.root / ".git/index").read_bytes()
    Sources(repository.root, git.read(repository.root)).files(("service",))
    assert (repository.root / ".git/index").read_bytes() == index
    assert not ran.exists()


def test_a_clone_of_another_owner_is_read(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = repository.commit()
    # A switch of git's own tests; chown would need root.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(CommandFailedError) as refused:
        command.run(["git", "rev-parse", "HEAD"], cwd=repository.root)
    assert "dubious ownership" in refused.value.detail
    assert git.read(repository.root).sha == sha


def test_a_refused_owner_gives_a_remedy(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    # Like git before 2.38, which ignores safe.directory on the command line.
    monkeypatch.setattr(git, "_NEUTRAL", git._NEUTRAL[:-2])
    with pytest.raises(NoRepositoryError, match="belongs to another user") as refused:
        git.read(repository.root)
    assert refused.value.remedy == f"git config --global --add safe.directory {repository.root}"


def test_replace_refs_are_ignored(repository: Repository) -> None:
    repository.write({"service/a.py": "1"})
    first = repository.commit()
    files = git.tree_files(repository.root, first, ("service",))
    repository.write({"service/a.py": "2"})
    repository.git("replace", first, repository.commit())
    assert git.tree_files(repository.root, first, ("service",)) == files


def test_an_ancestor_is_known_unless_the_clone_is_shallow(repository: Repository, tmp_path: Path) -> None:
    shas = []
    for text in ("1", "2", "3"):
        repository.write({"a": text})
        repository.commit()
        shas.append(git.read(repository.root).sha)
    first, _, third = shas
    assert git.is_ancestor(repository.root, first, third) is True
    assert git.is_ancestor(repository.root, third, first) is False
    assert git.is_ancestor(repository.root, first, first) is False
    assert git.is_ancestor(repository.root, "0" * 40, first) is None
    repository.git("checkout", "--quiet", "-b", "other", first)
    repository.write({"b": "4"})
    repository.commit()
    assert git.is_ancestor(repository.root, "HEAD", third) is False
    command.run(["git", "clone", "--quiet", "--depth=2", f"file://{repository.root}", str(tmp_path / "shallow")])
    assert git.is_ancestor(tmp_path / "shallow", first, "HEAD") is True
    assert git.is_ancestor(tmp_path / "shallow", "HEAD", first) is None
