"""Markdown table of the changes of a lock command, for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from build.locks.diff import Difference
from build.locks.index import FLAVOURS, conda_lock

_HEADING = ("| lock | package | before | now |", "| --- | --- | --- | --- |")


def markdown(written: Mapping[str, Sequence[Difference]], missing: Sequence[str]) -> str:
    """Render the locks that could not be written, then a table with one row for each changed package.

    The text is empty if no package changed in a lock that is in git. Locks of the stand-in channel are not in git.

    Args:
        written: lock -> its changes.
        missing: `lock: reason` of each lock that was not written; only the reason's first line is used.
    """
    ignored = {conda_lock(flavour, standin=True) for flavour in FLAVOURS}
    rows = [
        f"| {lock} | {_cell(change.name)} | {_cell(change.before)} | {_cell(change.now)} |"
        for lock, changes in written.items()
        if lock not in ignored
        for change in changes
    ]
    if not rows:
        return ""
    lines = [*_HEADING, *rows]
    if missing:
        why = [f"- {line.splitlines()[0]}" for line in missing]
        lines = ["**These locks were not written**, so do not merge this change yet:", "", *why, "", *lines]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
