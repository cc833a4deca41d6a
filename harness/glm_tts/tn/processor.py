"""Stand-in for WeTextProcessing 1.2.0: the same files in the same places, and a package folder that is read-only."""

from __future__ import annotations

import errno
import os
from pathlib import Path

PACKAGE = Path(__file__).parent
PARTS = ("tagger", "verbalizer")


class Processor:
    def __init__(self, name: str) -> None:
        self.name = name
        self.grammar: list[str] = []

    def build_fst(self, prefix: str, cache_dir: str | Path, overwrite_cache: bool) -> None:
        """Read the grammar, or build it: its content is who built it, at which priority, with which options."""
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
        paths = [Path(cache_dir, f"{prefix}_{part}.fst") for part in PARTS]
        if overwrite_cache or not all(path.exists() for path in paths):
            built = f"{os.getpid()} {os.nice(0)} {sorted(key for key, value in vars(self).items() if value is True)}"
            for path in paths:
                _write(path, built)
        self.grammar = [path.read_text() for path in paths]


def _write(path: Path, content: str) -> None:
    if path.resolve().is_relative_to(PACKAGE.resolve()):  # permissions alone do not stop root
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    path.write_text(content)
