"""The journal: one JSON record a line, each sealed by a hash over its predecessor's hash and itself.

A record is durable before `append` returns. Damage anywhere is reported, never read as an end. The one thing that a
power cut leaves by itself, a last line without its newline, was never acknowledged and is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import files
from agent.protocol import Refusal, RefusedError

VERSION = 1  # of the records' schema; a reader ignores fields that it does not know
_SEALED = re.compile(r'(.*),"hash":"([0-9a-f]{64})"\}')

Record = dict[str, Any]


def utc_now() -> str:
    """Return the time in UTC with milliseconds, as records carry it."""
    return datetime.now(UTC).isoformat("T", "milliseconds").replace("+00:00", "Z")


class Journal:
    """The journal in one file. Not thread-safe: the agent serializes its requests."""

    def __init__(self, path: Path, now: Callable[[], str] = utc_now) -> None:
        self._path, self._now = path, now
        self._load()

    def _load(self) -> None:
        self.records: list[Record] = []
        self.damage = ""
        self._newest = ""  # hash of the last record
        self._read = _version(self._path)
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.decode(errors="replace").split("\n")[:-1]):
            record, seal = _opened(line, self._newest)
            if record is None or record.get("seq") != number:
                self.damage = f"line {number + 1} of {self._path} is not as it was written"
                return
            self.records.append(record)
            self._newest = seal
        if len(whole) < len(content):
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())
            self._read = _version(self._path)

    def check(self) -> None:
        """Read the file again if an operator replaced it; raise RefusedError if it is damaged."""
        if self._read != _version(self._path):
            self._load()
        if self.damage:
            raise RefusedError(Refusal.DAMAGED, self.damage)

    def append(self, fields: Record, seq: int | None = None) -> Record:
        """Append a record and return it with its number, its time and its schema's version.

        Args:
            seq: the record's number. A record that is there already is returned: its writer lost the answer.

        Raises:
            RefusedError: the journal is damaged or cannot be written, or `seq` is not the next number; the file is as
                before.
        """
        self.check()
        if seq is not None and seq != len(self.records):
            return self._same(fields, seq)
        record = {"at": self._now(), "v": VERSION, **fields, "seq": len(self.records)}
        body = json.dumps(record, separators=(",", ":"))[:-1]
        seal = hashlib.sha256((self._newest + body).encode()).hexdigest()
        self._write(f'{body},"hash":"{seal}"}}\n'.encode())
        self._read = _version(self._path)
        self.records.append(record)
        self._newest = seal
        return record

    def _same(self, fields: Record, seq: int) -> Record:
        written = self.records[seq] if seq < len(self.records) else {}
        if written | fields != written:
            raise RefusedError(Refusal.FENCED, f"the journal has {len(self.records)} records, not {seq}")
        return written

    def _write(self, line: bytes) -> None:
        created = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, line)
                if written < len(line):
                    raise OSError(28, "no space left for a whole record")
                os.fsync(descriptor)
            except OSError as error:
                os.ftruncate(descriptor, before)
                raise RefusedError(Refusal.UNWRITABLE, f"{self._path} cannot be written: {error.strerror}") from None
        finally:
            os.close(descriptor)
        if created:
            files.sync_folder(self._path.parent)


def _version(path: Path) -> tuple[int, ...]:
    """Return what changes with the file's content."""
    if not path.exists():
        return ()
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _opened(line: str, newest: str) -> tuple[Record | None, str]:
    """Return a line's record and its seal; None if the line does not follow the record sealed by `newest`."""
    sealed = _SEALED.fullmatch(line)
    if not sealed or hashlib.sha256((newest + sealed[1]).encode()).hexdigest() != sealed[2]:
        return None, ""
    record: Record = json.loads(line)
    return record, record.pop("hash")
