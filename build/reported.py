"""Base of every expected end of a command, and the interrupt, which is no failure; build.errors has all failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from build.conda.redaction import redact


class ReportedError(BaseException):
    """Base of all expected ends of a command; prints message, optional detail (logs, a table) and remedy.

    Texts are redacted: other programs print URLs with credentials. `facts` holds measurements for the journal.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, remedy: str = "", detail: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        self.message = redact(message)
        self.remedy = redact(remedy)
        self.detail = redact(detail)
        super().__init__(self.message)
        self.facts = dict(facts or {})


class InterruptedByUserError(ReportedError):
    """Ctrl-C, SIGTERM or SIGHUP; the command rolled back, or the message states the remaining steps.

    It is no Exception: no handler of failures may swallow it.
    """

    exit_code = 130
