"""The tags of images that are built once for their inputs, and built anew by a refresh.

A tag is the key of the inputs, or key and time of a refresh. No tag ever moves: running containers, registries and
other builds keep the image that they know by a name. Every build takes the newest image of its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

TAG = re.compile(r"[0-9a-f]{16}(-\d{8}T\d{6}Z)?")


def tag(key: str, now: float) -> str:
    """The tag of an image that is built anew at `now` (seconds since 1970)."""
    return f"{key}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"


def newest(key: str, tags: Iterable[str]) -> str:
    """The tag of the newest image with these inputs: its last refresh, else the key itself."""
    return max((each for each in tags if TAG.fullmatch(each) and each.startswith(key)), default=key)
