"""The output folder. Its shards are the one truth of what is done; the manifest beside them is made from theirs."""

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
_FAILING = f".{FAILED}{shards.TEMPORARY}"  # becomes FAILED at the end: a run of FAILED itself still reads that
_SETTINGS = "batch.json"
_LOCK = ".lock"
_SHARD = re.compile(r"shard-(\d{5,9})\.zip")


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, in order."""
    try:
        found = [path for path in folder.iterdir() if _SHARD.fullmatch(path.name)]
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be read: {error.strerror}", "name a folder that `run` has written"
        ) from None
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def kept_settings(folder: Path) -> dict[str, Any]:
    """What the clips of a folder were made with; empty for a new one."""
    try:
        kept = json.loads((folder / _SETTINGS).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder / _SETTINGS} cannot be read: {error}", "choose another --out") from None
    return kept if isinstance(kept, dict) else {}


class Output:
    """One output folder, held by this process alone: a context manager.

    `done` has the identity of each clip that was there at the beginning by names.key, `written` counts those since.
    """

    def __init__(self, folder: Path, made_with: dict[str, Any]) -> None:
        self.folder = folder
        self.done: dict[int, str] = {}
        self.written = 0
        self._made_with = made_with
        self._next = 1
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Take the folder, clear away what a killed run left, and read what is done. Raises OutputError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._clear()
            self._read()
            self._settle()
            self._failed = self._held.enter_context((self.folder / _FAILING).open("wb", buffering=0))
        except OSError as error:
            self._held.close()
            raise self._unwritable(error) from None
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            (self.folder / _FAILING).unlink(missing_ok=True)
        self._held.close()

    def _lock(self) -> None:
        descriptor = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        self._held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another run is writing to {self.folder}", "wait for it, or choose another --out"
            ) from None

    def _clear(self) -> None:
        for path in self.folder.glob(f".*{shards.TEMPORARY}"):
            path.unlink()

    def _settle(self) -> None:
        """Clips of one folder are made alike: refuse what differs from those that are there, or keep what it is."""
        kept = kept_settings(self.folder)
        differs = [name for name in self._made_with if kept.get(name) != self._made_with[name]]
        if differs and kept and self.done:
            was = ", ".join(f"{name} {kept.get(name)!r}" for name in differs)
            raise OutputError(f"the clips in {self.folder} were made with {was}", "use the same, or another --out")
        if differs:
            with shards.replaced(self.folder / _SETTINGS) as file:
                file.write(json.dumps(self._made_with, indent=2).encode() + b"\n")

    def _read(self) -> None:
        """Learn what is done from the shards, and make the manifest from theirs."""
        with shards.replaced(self.folder / MANIFEST) as manifest:
            for path in shard_paths(self.folder):
                for entry in shards.read(path):
                    key = names.key(entry.output_name)
                    if key in self.done:
                        raise shards.damaged(path, f"{entry.output_name} is in an earlier shard too")
                    self.done[key] = entry.task
                    manifest.write(entry.line().encode())
                self._next = _number(path) + 1

    def add(self, clips: Sequence[Clip]) -> None:
        """Write clips into a shard, and where the room lacks, as many of them as find room. Blocking.

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
        """Write both halves, the second one too when the first finds no room."""
        half, lack = len(clips) // 2, None
        for part in (clips[:half], clips[half:]):
            try:
                self._add(part)
            except OSError as error:
                lack = error
        if lack:
            raise lack

    def failed(self, task: dict[str, Any]) -> None:
        """Note a task that failed, in a form that can be run again: all of it or nothing. Raises OutputError."""
        start = self._failed.tell()
        rest = memoryview(json.dumps(task, ensure_ascii=False).encode() + b"\n")
        try:
            while rest:  # a disk takes what it has room for, and says so the next time
                rest = rest[self._failed.write(rest) :]
        except OSError as error:
            self._failed.seek(start)
            self._failed.truncate()
            raise self._unwritable(error) from None

    def settle_failed(self) -> None:
        """Put what failed in this run into failed.jsonl, which is gone when nothing did."""
        try:
            os.fsync(self._failed.fileno())
            if self._failed.tell():
                (self.folder / _FAILING).replace(self.folder / FAILED)
            else:
                (self.folder / FAILED).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> OutputError:
        remedy = "make room" if is_full(error) else "give it a folder that you may write to"
        return OutputError(
            f"{self.folder} cannot be written: {error.strerror}",
            f"{remedy}; what is in finished shards stays, and the same command goes on from there",
        )


def manifest_lines(folder: Path) -> Iterator[str]:
    """The lines of a folder's manifest, none where there is no manifest."""
    with contextlib.suppress(FileNotFoundError), (folder / MANIFEST).open(encoding="utf-8") as manifest:
        yield from manifest
