"""The output folder. Its shards are the only record of finished clips; the folder's manifest is built from theirs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from batch.errors import OutputError
from batch.output import shards
from batch.output.shards import MANIFEST, Clip
from service.disk import is_full
from service.taskfile import names

FAILED = "failed.jsonl"
_FAILED_SO_FAR = f".{FAILED}{shards.TEMPORARY}"  # renamed to FAILED at the end: a run of FAILED itself still reads that
_SETTINGS = "batch.json"
_LOCK = ".lock"
_SHARD = re.compile(r"shard-(\d{5,9})\.zip")


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a folder, in order."""
    try:
        found = [path for path in folder.iterdir() if _SHARD.fullmatch(path.name)]
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror}", "choose an output folder of `run`") from None
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def stored_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of the clips in a folder; empty for a new folder."""
    try:
        stored = json.loads((folder / _SETTINGS).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder / _SETTINGS} cannot be read: {error}", "choose another --out") from None
    return stored if isinstance(stored, dict) else {}


class Output:
    """One output folder, locked by this process: a context manager.

    `done` maps names.key of each clip present at the start to its identity; `written` counts the clips added since.
    """

    def __init__(self, folder: Path, clip_settings: dict[str, Any]) -> None:
        self.folder = folder
        self.done: dict[int, str] = {}
        self.written = 0
        self._clip_settings = clip_settings
        self._next = 1
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Lock the folder, delete leftovers of a killed run and read the finished clips; raise OutputError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._clear()
            self._read()
            self._store_settings()
            self._failed = self._resources.enter_context((self.folder / _FAILED_SO_FAR).open("wb", buffering=0))
        except OSError as error:
            self._resources.close()
            raise self._unwritable(error) from None
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        """Unlock the folder."""
        with contextlib.suppress(OSError):
            (self.folder / _FAILED_SO_FAR).unlink(missing_ok=True)
        self._resources.close()

    def _lock(self) -> None:
        descriptor = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        self._resources.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another run is writing to {self.folder}", "wait until it ends, or choose another --out"
            ) from None

    def _clear(self) -> None:
        for path in self.folder.glob(f".*{shards.TEMPORARY}"):
            path.unlink()

    def _store_settings(self) -> None:
        """Store the settings of the clips; raise OutputError if existing clips were made with other settings."""
        stored = stored_settings(self.folder)
        differs = [name for name in self._clip_settings if stored.get(name) != self._clip_settings[name]]
        if differs and stored and self.done:
            earlier = ", ".join(f"{name} {stored.get(name)!r}" for name in differs)
            raise OutputError(
                f"the clips in {self.folder} were made with {earlier}", "use the same settings or another --out"
            )
        if differs:
            with shards.replaced(self.folder / _SETTINGS) as file:
                file.write(json.dumps(self._clip_settings, indent=2).encode() + b"\n")

    def _read(self) -> None:
        """Read the finished clips from the shards and rebuild the manifest from theirs."""
        with shards.replaced(self.folder / MANIFEST) as manifest:
            for path in shard_paths(self.folder):
                for entry in shards.read(path):
                    key = names.key(entry.output_name)
                    if key in self.done:
                        raise shards.damaged(path, f"{entry.output_name} is also in an earlier shard")
                    self.done[key] = entry.task
                    manifest.write(entry.line().encode())
                self._next = _number(path) + 1

    def add(self, clips: Sequence[Clip]) -> None:
        """Write clips into a shard; if the disk is full, as many of them as fit. Blocking.

        Raises:
            OutputError: not all of them could be written.
        """
        try:
            self._add(clips)
        except OSError as error:
            raise self._unwritable(error) from None

    def _add(self, clips: Sequence[Clip]) -> None:
        path = self.folder / f"shard-{self._next:05}.zip"
        try:
            entries = shards.write(path, clips)
        except OSError as error:
            if not is_full(error) or len(clips) == 1:
                raise
            self._add_halves(clips)
            return
        self._next += 1
        self.written += len(entries)
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as manifest:
            manifest.writelines(entry.line() for entry in entries)

    def _add_halves(self, clips: Sequence[Clip]) -> None:
        """Write both halves; try the second even if the first does not fit."""
        half, failure = len(clips) // 2, None
        for part in (clips[:half], clips[half:]):
            try:
                self._add(part)
            except OSError as error:
                failure = error
        if failure:
            raise failure

    def failed(self, task: dict[str, Any]) -> None:
        """Append a failed task in a form that can be run again, completely or not at all. Raises OutputError."""
        start = self._failed.tell()
        rest = memoryview(json.dumps(task, ensure_ascii=False).encode() + b"\n")
        try:
            while rest:  # a full disk writes a part first and fails at the next write
                rest = rest[self._failed.write(rest) :]
        except OSError as error:
            self._failed.seek(start)
            self._failed.truncate()
            raise self._unwritable(error) from None

    def publish_failed(self) -> None:
        """Move this run's failed tasks to failed.jsonl; delete that file if none failed. Raises OutputError."""
        try:
            os.fsync(self._failed.fileno())
            if self._failed.tell():
                (self.folder / _FAILED_SO_FAR).replace(self.folder / FAILED)
            else:
                (self.folder / FAILED).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> OutputError:
        remedy = "free disk space" if is_full(error) else "make the folder writable"
        return OutputError(
            f"{self.folder} cannot be written: {error.strerror}",
            f"{remedy}, then run the same command again; finished shards are kept",
        )


def manifest_lines(folder: Path) -> Iterator[str]:
    """Yield the lines of a folder's manifest; none without a manifest."""
    with contextlib.suppress(FileNotFoundError), (folder / MANIFEST).open(encoding="utf-8") as manifest:
        yield from manifest
