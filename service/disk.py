"""Detection of a full disk from an OSError."""

from __future__ import annotations

import errno


def is_full(error: OSError) -> bool:
    """Return whether the error means that storage is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
