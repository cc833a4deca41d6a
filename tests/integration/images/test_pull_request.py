"""The pull request of refresh.yml: opened once, updated while it is open, never without a change."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.github import Hub
from harness.stack import REPOSITORY

SCRIPT = REPOSITORY / ".ci/pull-request"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    (folder / "locks").mkdir(parents=True)
    (folder / "locks/apt.txt").write_text("tini=1\n")
    (folder / "code").write_text("1\n")
    for argv in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *argv], cwd=folder, check=True)
    return folder


@pytest.fixture
def hub(tmp_path: Path, clone: Path) -> Hub:
    return Hub.of(tmp_path / "hub", clone)


def refresh(hub: Hub, clone: Path, lock: str, summary: str, incomplete: str = "") -> str:
    """Run the script on a fresh checkout of main with `lock` written into it; return its output."""
    hub.git(clone, "switch", "--quiet", "--force", "main")
    (clone / "locks/apt.txt").write_text(lock)
    (clone / "code").write_text("changed, and no lock\n")
    (clone.parent / "summary.md").write_text(summary)
    own = {
        "PATH": f"{hub.folder}/bin:{os.environ['PATH']}",
        "RUNNER_TEMP": str(clone.parent),
        "SUMMARY": str(clone.parent / "summary.md"),
        "BASE": "main",
        "GH_TOKEN": "secret",
        "INCOMPLETE": incomplete,
    }
    done = subprocess.run([SCRIPT], cwd=clone, env={**os.environ, **own}, check=True, capture_output=True, text=True)
    return done.stdout


def test_a_change_of_the_locks_is_pushed_and_proposed_with_its_table(hub: Hub, clone: Path) -> None:
    refresh(hub, clone, "tini=2\n", "| tini | 1 | 2 |\n")
    (pull,) = hub.pulls
    assert (pull["head"], pull["base"], pull["draft"]) == ("refresh/locks", "main", False)
    assert pull["body"].endswith("| tini | 1 | 2 |\n")
    assert hub.git(hub.origin, "show", "refresh/locks:locks/apt.txt") == "tini=2"
    assert hub.git(hub.origin, "diff", "--name-only", "main", "refresh/locks") == "locks/apt.txt"
    assert hub.git(hub.origin, "show", "main:locks/apt.txt") == "tini=1"


def test_a_second_run_updates_the_branch_and_the_open_pull_request(hub: Hub, clone: Path) -> None:
    refresh(hub, clone, "tini=2\n", "| tini | 1 | 2 |\n", incomplete="yes")
    assert hub.pulls[0]["draft"]
    refresh(hub, clone, "tini=3\n", "| tini | 1 | 3 |\n")
    (pull,) = hub.pulls
    assert not pull["draft"]
    assert "| tini | 1 | 3 |" in pull["body"]
    assert "| tini | 1 | 2 |" not in pull["body"]
    assert hub.git(hub.origin, "show", "refresh/locks:locks/apt.txt") == "tini=3"
    assert hub.git(hub.origin, "rev-list", "--count", "main..refresh/locks") == "1"
    refresh(hub, clone, "tini=4\n", "| tini | 1 | 4 |\n", incomplete="yes")
    assert [pull["draft"] for pull in hub.pulls] == [True]


@pytest.mark.parametrize(
    ("lock", "summary"), [("tini=1\n", ""), ("tini=1\n", "| row |\n"), ("# 8 o'clock\ntini=1\n", "")]
)
def test_without_a_changed_package_there_is_no_pull_request(hub: Hub, clone: Path, lock: str, summary: str) -> None:
    assert "no pull request" in refresh(hub, clone, lock, summary)
    assert hub.pulls == []
    assert hub.git(hub.origin, "branch", "--list", "refresh/*") == ""
