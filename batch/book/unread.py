"""What `generate` could not read as speech: counts, and the first line of each kind. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

UNCLOSED = "a quotation without a closing mark"


@dataclass
class Unread:
    """Passages that may be speech but are not read as speech, by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """Count a passage in a line of the book."""
        self.counts[kind] += 1
        self.first.setdefault(kind, line)

    def __str__(self) -> str:
        """Return one line for the book; empty if everything was read."""
        found = (f"{kind}: {count}, the first in line {self.first[kind]}" for kind, count in self.counts.most_common())
        return "; ".join(found)
