"""Evidence that a load goes on, although upstream says nothing until it has read gigabytes: what the process reads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

EVERY_S = 5.0
LEAST = 1 << 20
"""Bytes within EVERY_S: less, and it is nobody's load."""


@contextlib.contextmanager
def told(progress: Callable[[str], None]) -> Iterator[None]:
    """Call `progress` every EVERY_S seconds while the process reads, from another thread; nothing while it hangs."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(progress, ended), name="reading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(progress: Callable[[str], None], ended: threading.Event) -> None:
    before = _read()
    while not ended.wait(EVERY_S):
        now = _read()
        if now - before >= LEAST:
            progress(f"read {(now - before) >> 20} MiB more")
        before = now


def _read() -> int:
    """Bytes that this process has read: asked for, and (as for files that are mapped) fetched from disks."""
    try:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(fields["rchar"]) + int(fields["read_bytes"])
    except (OSError, ValueError, LookupError):
        return 0
