"""A sentence of an utterance. Standard library only: the batch client imports it too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """One sentence as it is spoken, and the silence after it in seconds, beside what the model itself leaves."""

    text: str
    pause_s: float = 0.0
