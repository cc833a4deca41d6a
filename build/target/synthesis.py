"""An answer to a text, before anybody has listened to it: without numpy, which most commands are spared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spoken:
    """What a release answered to one text; times in seconds, from the request on, as seen inside its container.

    `error` says why there is no audio; then `wav` is empty.
    """

    wav: bytes
    first_s: float = 0.0
    took_s: float = 0.0
    error: str = ""
