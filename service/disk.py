"""Storage that is full, as the system reports it."""

from __future__ import annotations

import errno


def is_full(error: OSError) -> bool:
    """Is it the room that lacks?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
