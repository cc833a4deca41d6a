"""How a procedure says what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    def step(self, text: str) -> None:
        """A new step begins."""

    def note(self, text: str) -> None:
        """Something worth knowing inside a step."""
