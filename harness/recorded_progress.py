"""Progress that records its lines instead of printing them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RecordedProgress:
    """Records steps and notes; `text in progress` searches all lines."""

    lines: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self.lines)
