"""Faults at journal records under load, for both strategies: lost requests and the resulting state."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.table import Table

from bench import provenance
from build.console import out
from harness.chaos.case import Case, run
from harness.chaos.case import cases as cases_of
from harness.chaos.chaos_stack import ChaosStack, chaos_stack, nested_chaos_stack
from harness.stack import REPOSITORY, Stack

RESULTS = provenance.RESULTS / "chaos.json"
Rows = dict[str, dict[str, Any]]
COLUMNS = ("fault", "state", "strategy", "sent", "lost", "cut", "expect_lost", "slowest", "ended")


def measure(_stack: Stack, _runs: int, *, only: Sequence[str] = (), every: bool = False, missing: bool = False) -> None:
    """Run the matrix on a separate stack and print it; each row is saved as soon as it is complete.

    Args:
        only: words; the name of a combination must contain one of them, such as `hold done:load candidate killed`.
        every: each fault at each record, not only as many as show its effect.
        missing: omit combinations that the results have, of a commit that still exists.
    """
    measured = provenance.measured(REPOSITORY, provenance.RESULTS)
    known = {name for name, row in _read().items() if row["commit"] and not row["wrong"]}
    chosen = [case for case in _mixed(cases_of(every=every)) if not only or any(word in str(case) for word in only)]
    if missing:
        chosen = [case for case in chosen if str(case) not in known]
    for make_stack, part in (
        (chaos_stack, [case for case in chosen if case.fault.engine is None]),
        (nested_chaos_stack, [case for case in chosen if case.fault.engine is not None]),
    ):
        if not part:
            continue
        with tempfile.TemporaryDirectory() as scratch, make_stack(Path(scratch)) as chaos:
            for case in part:
                row = {**_run(chaos, case), **measured}
                _write(str(case), row)
                wrong = f"  WRONG: {row['wrong']}" if row["wrong"] else ""
                out.print(f"{case}: {row['lost']} lost of {row['sent']}{wrong}", markup=False)
    rows = _read()
    _show([rows[str(case)] for case in chosen])


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """Order the cases round-robin by fault, so that an interrupted run has seen every fault."""
    rounds = Counter[str]()
    numbered = []
    for case in cases:
        rounds[case.fault.name] += 1
        numbered.append((rounds[case.fault.name], case))
    return [case for _, case in sorted(numbered, key=itemgetter(0))]


def _run(chaos: ChaosStack, case: Case) -> dict[str, Any]:
    """Return the row of a case; after a failed one redeploy the stack, so that it does not affect the next."""
    row: dict[str, Any] = {"fault": case.fault.name, "state": str(case.point), "strategy": case.strategy.value}
    with tempfile.TemporaryFile("w+") as output, contextlib.redirect_stdout(output):
        try:
            row = run(chaos, case).json()
        except Exception as error:  # noqa: BLE001 - any error belongs into the table
            row |= dict.fromkeys(COLUMNS[3:]) | {"wrong": [f"{type(error).__name__}: {error}"]}
        output.seek(0)
        log = output.read()
    if row["wrong"]:
        out.print(log, markup=False)
        chaos.redeploy()
    return row


def _read() -> Rows:
    return {f"{row['strategy']} {row['state']} {row['fault']}": row for row in provenance.read(RESULTS)}


def _write(name: str, row: dict[str, Any]) -> None:
    rows = {**_read(), name: row}
    provenance.write(REPOSITORY, RESULTS, list(rows.values()))


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row[name]) for name in COLUMNS))
    out.print(table)
    sent, lost = (sum(row[name] or 0 for row in rows) for name in ("sent", "lost"))
    lossless = [row for row in rows if row["expect_lost"] == 0]
    out.print(
        f"{len(rows)} faults injected: {sent} requests sent, {lost} lost. {len(lossless)} faults left a good release "
        f"alive: {sum(row['lost'] or 0 for row in lossless)} lost. Faults with problems: "
        f"{len([row for row in rows if row['wrong']])}"
    )
