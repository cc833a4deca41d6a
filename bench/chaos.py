"""Faults at journal records under load, for both strategies: lost requests and the resulting state."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from build.console import out
from build.errors import InterruptedByUserError
from build.system import git
from harness.chaos.case import Case, run
from harness.chaos.case import cases as cases_of
from harness.chaos.chaos_stack import Bed, bed, nested_bed
from harness.stack import REPOSITORY, Stack

RESULTS = REPOSITORY / "bench/results/chaos.json"
Rows = dict[str, dict[str, Any]]
COLUMNS = ("fault", "state", "strategy", "sent", "lost", "cut", "expect_lost", "slowest", "ended")


def measure(_stack: Stack, _runs: int, *, only: Sequence[str] = (), every: bool = False, missing: bool = False) -> None:
    """Run the matrix on a separate stack and print it; each row is saved as soon as it is complete.

    Args:
        only: words; the name of a combination must contain one of them, such as `hold done:load candidate killed`.
        every: each fault at each record, not only as many as show its effect.
        missing: omit combinations that the results have.
    """
    commit, known = _commit(), _read()
    chosen = [each for each in _mixed(cases_of(every=every)) if not only or any(word in str(each) for word in only)]
    if missing:
        chosen = [each for each in chosen if str(each) not in known]
    for made, part in (
        (bed, [each for each in chosen if each.fault.engine is None]),
        (nested_bed, [each for each in chosen if each.fault.engine is not None]),
    ):
        if not part:
            continue
        with tempfile.TemporaryDirectory() as scratch, made(Path(scratch)) as broken:
            for case in part:
                found = {**_run(broken, case), "commit": commit}
                _write(str(case), found)
                wrong = f"  WRONG: {found['wrong']}" if found["wrong"] else ""
                out.print(f"{case}: {found['lost']} lost of {found['sent']}{wrong}", markup=False)
    rows = _read()
    _show([rows[str(each)] for each in chosen])


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """Order the cases round-robin by fault, so that an interrupted run has seen every fault."""
    rounds = Counter[str]()
    numbered = []
    for case in cases:
        rounds[case.fault.name] += 1
        numbered.append((rounds[case.fault.name], case))
    return [case for _, case in sorted(numbered, key=lambda each: each[0])]


def _run(broken: Bed, case: Case) -> dict[str, Any]:
    """Return the row of a case; after a failed one restart the stack, so that it does not affect the next."""
    found: dict[str, Any] = {"fault": case.fault.name, "state": str(case.point), "strategy": case.strategy.value}
    with tempfile.TemporaryFile("w+") as said, contextlib.redirect_stdout(said):
        try:
            found = run(broken, case).json()
        except InterruptedByUserError:
            raise
        except Exception as error:  # noqa: BLE001 - any error belongs into the table
            found |= dict.fromkeys(COLUMNS[3:]) | {"wrong": [f"{type(error).__name__}: {error}"]}
        said.seek(0)
        log = said.read()
    if found["wrong"]:
        out.print(log, markup=False)
        broken.afresh()
    return found


def _read() -> Rows:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    return {f"{each['strategy']} {each['state']} {each['fault']}": each for each in rows}


def _commit() -> str:
    """Return the measured commit; changed results do not make it dirty."""
    commit = git.read(REPOSITORY)
    changed = [each for each in commit.dirty if not str(RESULTS.parent).endswith(each.rstrip("/"))]
    changed = [each for each in changed if each != str(RESULTS.relative_to(REPOSITORY))]
    return f"{commit.sha}{'-dirty' if changed else ''}"


def _write(name: str, found: dict[str, Any]) -> None:
    rows = {**_read(), name: found}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rows": list(rows.values())}, indent=1) + "\n")


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for each in rows:
        table.add_row(*(str(each[name]) for name in COLUMNS))
    out.print(table)
    sent, lost = (sum(each[name] or 0 for each in rows) for name in ("sent", "lost"))
    free = [each for each in rows if each["expect_lost"] == 0]
    out.print(
        f"{len(rows)} faults injected, {sent} requests sent, {lost} lost; of {len(free)} that left a good colour alive "
        f"{sum(each['lost'] or 0 for each in free)}; {sum(bool(each['wrong']) for each in rows)} went wrong"
    )
