"""Tags of images that are built once for their inputs and rebuilt by a refresh.

A tag is the key of the inputs, or the key and the time of a refresh. Tags never move, so running containers, registries
and other builds keep their image. Every build uses the newest image of its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

TAG = re.compile(r"[0-9a-f]{16}(-\d{8}T\d{6}Z)?")


def tag(key: str, now: float) -> str:
    """Tag of an image that a refresh builds at `now` (seconds since 1970)."""
    return f"{key}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"


def newest(key: str, tags: Iterable[str]) -> str:
    """Tag of the newest image with these inputs: the last refresh, otherwise the key itself."""
    return max((tag for tag in tags if TAG.fullmatch(tag) and tag.startswith(key)), default=key)
