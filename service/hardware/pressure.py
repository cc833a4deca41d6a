"""How contended the host's processors are, by Linux' pressure stall information (proc(5), /proc/pressure/cpu)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_PATH = Path("/proc/pressure/cpu")
_LOOK_S = 0.5  # shortest interval of a share


class CpuPressure:
    """Share of the time in which a runnable thread of the host waited for a processor."""

    def __init__(self, path: Path = _PATH, now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._now = path, now
        self._looked, self._waited = now(), self._read()
        self._share = 0.0

    def share(self) -> float:
        """Return the share (0 to 1) since the last look, or of the interval before; 0 where the kernel has none."""
        now = self._now()
        if now - self._looked >= _LOOK_S:
            waited = self._read()
            self._share = (waited - self._waited) / (now - self._looked)
            self._looked, self._waited = now, waited
        return self._share

    def _read(self) -> float:
        """Return the seconds of waiting since boot."""
        try:
            some, *_ = self._path.read_text().splitlines()
            return int(some.rpartition("total=")[2]) / 1e6
        except (OSError, ValueError):
            return 0.0
