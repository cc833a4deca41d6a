"""The base of all expected failures (build.errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from build.conda.redaction import redact


class OrchestratorError(Exception):
    """Base of all expected failures; prints message, optional detail (logs, a table) and remedy.

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
