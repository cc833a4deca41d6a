"""Every row of bench/results names a commit of the history, or says that its commit is lost."""

from __future__ import annotations

from pathlib import Path

from bench import provenance
from build.system import git
from harness.repository import Repository, repository
from harness.stack import REPOSITORY

__all__ = ("repository",)  # a fixture


def row(root: Path) -> provenance.Row:
    return {"fault": "disk full", **provenance.measured(root, root / "bench/results")}


def write_and_read(root: Path, rows: list[provenance.Row]) -> list[provenance.Row]:
    path = root / "bench/results/chaos.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance.write(root, path, rows)
    return provenance.read(path)


def test_a_row_names_the_measured_commit_and_changed_results_do_not_make_it_dirty(repository: Repository) -> None:
    repository.write({"bench/results/chaos.json": "{}", "code.py": "1"})
    sha = repository.commit()
    repository.write({"bench/results/chaos.json": '{"rows": []}', "bench/results/other.json": "{}"})
    assert row(repository.root) | {"tree": ""} == {"fault": "disk full", "commit": sha, "tree": "", "dirty": False}
    repository.write({"code.py": "2"})
    assert row(repository.root)["dirty"]


def test_a_rewritten_commit_is_replaced_by_one_with_the_same_tree(repository: Repository) -> None:
    repository.write({"code.py": "1"})
    repository.commit()
    measured = row(repository.root)
    repository.git("commit", "--quiet", "--amend", "-m", "another message")
    amended = repository.git("rev-parse", "HEAD")
    assert amended != measured["commit"]
    assert write_and_read(repository.root, [measured]) == [measured | {"commit": amended}]


def test_a_lost_commit_is_marked_and_found_again_once_the_history_has_it(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.write({"code.py": "1"})
    repository.commit()
    measured = row(repository.root)
    repository.git("checkout", "--quiet", "main")
    (lost,) = write_and_read(repository.root, [measured])
    assert (lost["commit"], lost["lost_commit"]) == (None, measured["commit"])
    repository.git("merge", "--quiet", "branch")
    assert write_and_read(repository.root, [lost]) == [measured]


def test_every_row_of_this_repository_is_up_to_date() -> None:
    assert not git.read(REPOSITORY).shallow, "a shallow clone lacks the commits of the rows: git fetch --unshallow"
    trees = provenance.history(REPOSITORY)
    for path in provenance.RESULTS.glob("*.json"):
        rows = provenance.read(path)
        assert rows == [provenance.repaired(row, trees) for row in rows], "run `python -m bench.provenance`"
