"""Progress of a load, from the bytes that the process reads: upstream reads gigabytes without a report."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

INTERVAL_S = 5.0
MIN_BYTES = 1 << 20
"""Bytes within INTERVAL_S seconds below which a load makes no progress."""


@contextlib.contextmanager
def report_reads(progress: Callable[[str], None]) -> Iterator[None]:
    """Call `progress` every INTERVAL_S seconds from another thread while the process reads; no call while it hangs."""
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
    while not ended.wait(INTERVAL_S):
        now = _read()
        if now - before >= MIN_BYTES:
            progress(f"read {(now - before) >> 20} MiB more")
        before = now


def _read() -> int:
    """Return the bytes that this process has read: by system calls and, for mapped files, from disk."""
    try:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(fields["rchar"]) + int(fields["read_bytes"])
    except (OSError, ValueError, LookupError):
        return 0
