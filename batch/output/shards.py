"""A shard: a zip of clips with a manifest that describes them. It exists completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from batch.errors import OutputError

MANIFEST = "manifest.jsonl"
TEMPORARY = ".tmp"
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: the same clips give the same bytes


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A clip's line in the manifests. `seconds` is the service's response time, `task` the task's identity."""

    output_name: str
    shard: str
    sha256: str
    bytes: int
    duration_s: float
    release: str
    seconds: float
    tries: int
    request_id: str
    task: str

    def line(self) -> str:
        """Return one line of JSON with its newline."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished clip that is not in a shard yet."""

    content: bytes
    facts: dict[str, Any]

    def entry(self, shard: str) -> ManifestLine:
        """Return the clip's manifest entry."""
        digest = hashlib.sha256(self.content).hexdigest()
        return ManifestLine(shard=shard, sha256=digest, bytes=len(self.content), **self.facts)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write that replaces `path` once it is on disk; on an error nothing remains of it."""
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, clips: Sequence[Clip]) -> list[ManifestLine]:
    """Write one shard; OSError leaves no partial file. Blocking."""
    entries = [clip.entry(path.name) for clip in clips]
    with replaced(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as shard:
        for clip, entry in zip(clips, entries, strict=True):
            shard.writestr(_member(entry.output_name), clip.content)
        shard.writestr(_member(MANIFEST), "".join(entry.line() for entry in entries))
    return entries


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.external_attr = 0o644 << 16
    return member


def read(path: Path) -> list[ManifestLine]:
    """Return the entries of a shard, checked against the zip's directory; `altered` checks the clips themselves.

    Raises:
        OutputError: it is not a shard, or it is incomplete.
    """
    try:
        with zipfile.ZipFile(path) as shard:
            sizes = {member.filename: member.file_size for member in shard.infolist()}
            entries = [ManifestLine(**json.loads(line)) for line in shard.read(MANIFEST).splitlines()]
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from None
    sizes.pop(MANIFEST)
    if sizes != {entry.output_name: entry.bytes for entry in entries} or len(sizes) != len(entries):
        raise damaged(path, "its manifest does not match its clips")
    return entries


def altered(path: Path) -> list[str]:
    """Return the clips of a shard whose bytes have changed since they were written; raises as `read`."""
    bad = []
    entries = read(path)
    with zipfile.ZipFile(path) as shard:
        for entry in entries:
            try:
                digest = hashlib.sha256(shard.read(entry.output_name)).hexdigest()
            except (OSError, zipfile.BadZipFile):
                digest = ""
            if digest != entry.sha256:
                bad.append(entry.output_name)
    return bad


def damaged(path: Path, why: str) -> OutputError:
    """Return the error for a damaged shard."""
    return OutputError(
        f"{path} is damaged: {why}", "move it away and run the same command again: it repeats those clips"
    )
