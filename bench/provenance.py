"""The commit that a row of bench/results measured: `python -m bench.provenance` repairs the rows.

An amend or a rebase replaces commits, and a row that names a replaced commit cannot be traced. A row therefore records
the tree too: a commit with the same tree stands in for a lost one. Without such a commit, `commit` is null and
`lost_commit` has the SHA as recorded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from build import console
from build.system import git
from harness.stack import REPOSITORY

RESULTS = REPOSITORY / "bench/results"
Row = dict[str, Any]

app = console.app("Repair the commits in bench/results after a rewrite of the history.")


def measured(root: Path, results: Path) -> Row:
    """Return `commit`, `tree` and `dirty` of the working tree; changed results do not make it dirty."""
    head = git.read(root)
    folder = results.relative_to(root)
    changed = [path for path in map(Path, head.dirty) if path != folder and folder not in path.parents]
    return {"commit": head.sha, "tree": head.tree, "dirty": bool(changed)}


def history(root: Path) -> dict[str, str]:
    """Return the tree of each commit that HEAD contains, oldest first."""
    lines = git.run(root, "log", "--reverse", "--format=%H %T", "HEAD").decode().splitlines()
    return dict(line.split() for line in lines)


def repaired(row: Row, trees: dict[str, str]) -> Row:
    """Return the row with a commit of the history, or with `commit` null and the recorded SHA as `lost_commit`."""
    commit = row["commit"] or row.get("lost_commit")
    row = {name: value for name, value in row.items() if name != "lost_commit"}
    if commit in trees:
        return row | {"commit": commit, "tree": trees[commit]}
    same = next((sha for sha, tree in trees.items() if tree == row.get("tree")), None)
    return row | ({"commit": same} if same else {"commit": None, "lost_commit": commit})


def read(path: Path) -> list[Row]:
    """Return the rows of a file of results; none without the file."""
    rows: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def write(root: Path, path: Path, rows: list[Row]) -> None:
    """Write the rows, each with a commit of the history: HEAD may have been amended since the first was measured."""
    trees = history(root)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rows": [repaired(row, trees) for row in rows]}, indent=1) + "\n")


@app.command()
def main() -> None:
    """Replace lost commits by ones with the same tree, and mark the others."""
    for path in sorted(RESULTS.glob("*.json")):
        rows = read(path)
        write(REPOSITORY, path, rows)
        lost = sum(row["commit"] is None for row in read(path))
        console.out.print(f"{path.name}: {len(rows)} rows, {lost} of a commit that the history no longer has")


if __name__ == "__main__":
    console.main(app)
