"""A container's process as bad luck treats it, which no restart policy and no engine takes for a user's wish."""

from __future__ import annotations

import os
import signal
from typing import Any


def break_down(container: Any, fault: str) -> None:
    """Has a container's process hang, or end as by the kernel."""
    if fault == "hung":
        container.pause()
    else:
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
