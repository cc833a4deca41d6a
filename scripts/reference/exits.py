"""Page of the exit codes of all programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch import errors as batch_errors
from build import errors
from scripts.reference.markdown import code, fill, first_paragraph, table
from service import __main__ as service_main

_Kind = type[errors.ReportedError] | type[batch_errors.BatchError]
_CODE = re.compile(r"(\d+): ([^.]+)\.")


def page() -> str:
    """Return the page."""
    return fill(
        "exit-codes.md.in",
        orchestrator=_errors(*_tree(errors.OrchestratorError), errors.InterruptedByUserError),
        batch=_errors(*_tree(batch_errors.BatchError)),
        service=table(("code", "meaning"), _CODE.findall(service_main.main.__doc__ or "")),
    )


def _errors(*kinds: _Kind) -> str:
    known = sorted(kinds, key=lambda kind: kind.exit_code)
    rows = ((str(kind.exit_code), code(kind.__name__), first_paragraph(kind)) for kind in known)
    return table(("code", "error", "meaning"), rows)


def _tree(kind: _Kind) -> Iterator[_Kind]:
    for below in kind.__subclasses__():
        yield below
        yield from _tree(below)
