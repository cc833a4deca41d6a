"""A temporary git repository with a separate global configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from build.system import command

# A signed commit; the signature is only shown, never verified.
SIGNED = """\
tree {tree}
author T <t@example.invalid> 1767323045 +0000
committer T <t@example.invalid> 1767323045 +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 
 iQ==
 -----END PGP SIGNATURE-----

signed
"""


class Repository:
    """A repository with an author; `write` and `commit` act as a developer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        command.run(["git", "init", "--quiet", "--initial-branch", "main", str(root)])
        for key, value in (("user.name", "T"), ("user.email", "t@example.invalid")):
            self.git("config", key, value)

    def git(self, *args: str, stdin: str = "") -> str:
        return command.run(["git", *args], cwd=self.root, stdin=stdin.encode()).decode().strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self) -> str:
        """Commit everything; return the SHA."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a change")
        return self.git("rev-parse", "HEAD")

    def sign_and_commit(self) -> str:
        """Commit everything with a signature and a fixed date in 2026; return the SHA."""
        self.git("add", "--all")
        text = SIGNED.format(tree=self.git("write-tree"))
        sha = self.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
        self.git("update-ref", "refs/heads/main", sha)
        return sha


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    found = Repository(tmp_path / "repository")
    found.commit()
    return found
