"""A part of a paragraph: speech or narration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a paragraph from `start` to `end`, marks included.

    Args:
        closed: the closing mark exists, or the style needs none.
        name: the speaker as a script names them.
        marks: the number of characters before and after the speech; by default one mark on each side.
    """

    start: int
    end: int
    quoted: bool
    closed: bool = True
    name: str = ""
    marks: tuple[int, int] | None = None

    @property
    def lead(self) -> int:
        """Characters of the opening mark."""
        return self.marks[0] if self.marks else int(self.quoted)

    @property
    def trail(self) -> int:
        """Characters of the closing mark."""
        return self.marks[1] if self.marks else int(self.quoted and self.closed)
