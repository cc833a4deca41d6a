"""Progress reporting for procedures, independent of the output."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def step(self, text: str) -> None:
        """Report the start of a step."""

    def note(self, text: str) -> None:
        """Report a detail of the current step."""
