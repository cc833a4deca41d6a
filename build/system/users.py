"""The user of this process."""

from __future__ import annotations

import getpass
import os


def name() -> str:
    """Return the user's name; the number of a user without an entry in passwd, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
