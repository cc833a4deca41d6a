"""A synthesis before any check; free of numpy, which most commands do not need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SynthesisResponse:
    """A release's answer to one text; times in seconds since the request, measured inside its container.

    `error` says why there is no audio; then `wav` is empty.
    """

    wav: bytes
    first_s: float = 0.0
    took_s: float = 0.0
    error: str = ""
