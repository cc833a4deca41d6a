"""Writer of reproducible .conda packages: the bytes depend on the content only."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

# Placeholder for the prefix in text files; the installer replaces it.
PLACEHOLDER = "/opt/conda_prefix_placeholder"

# The timestamp of everything in a package: 2025-01-01 in seconds since 1970. Any constant would do.
_EPOCH_S = 1735689600
_ZIP_DATE = (2025, 1, 1, 0, 0, 0)
_ZSTD_LEVEL = 10


@dataclass(frozen=True)
class Metadata:
    """Content of a package's info/index.json; `noarch` is "python", "generic" or empty (linux-64)."""

    name: str
    version: str
    build: str
    license: str
    depends: tuple[str, ...] = ()
    noarch: str = ""
    entry_points: tuple[str, ...] = ()

    @property
    def subdir(self) -> str:
        """Channel folder that the package belongs to."""
        return "noarch" if self.noarch else "linux-64"

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return f"{self.name}-{self.version}-{self.build}"


def write(root: Path, metadata: Metadata, channel: Path) -> Path:
    """Pack everything under `root` into `channel`/<subdir>/<stem>.conda; return that path."""
    files = sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    info = {
        "info/about.json": {"license": metadata.license},
        "info/index.json": _index(metadata),
        "info/paths.json": {"paths": [_path_entry(path, root) for path in files], "paths_version": 1},
    }
    if metadata.noarch == "python":
        link = {"type": "python", "entry_points": list(metadata.entry_points)}
        info["info/link.json"] = {"noarch": link, "package_metadata_version": 1}
    target = channel / metadata.subdir / f"{metadata.stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{metadata.stem}.tar.zst", _tar_zst(lambda tar: _add_files(tar, files, root))),
            (f"info-{metadata.stem}.tar.zst", _tar_zst(lambda tar: _add_documents(tar, info))),
        ):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content)
    return target


def _index(metadata: Metadata) -> dict[str, Any]:
    index: dict[str, Any] = {
        "name": metadata.name,
        "version": metadata.version,
        "build": metadata.build,
        "build_number": 0,
        "depends": list(metadata.depends),
        "license": metadata.license,
        "subdir": metadata.subdir,
        "timestamp": _EPOCH_S * 1000,  # conda counts milliseconds
    }
    return index | ({"noarch": metadata.noarch} if metadata.noarch else {"arch": "x86_64", "platform": "linux"})


def _path_entry(path: Path, root: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"_path": path.relative_to(root).as_posix()}
    content = path.read_bytes()  # for a link, the content of its target, as in conda-build
    entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
    if path.is_symlink():
        return entry | {"path_type": "softlink"}
    if PLACEHOLDER.encode() in content:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return entry | {"path_type": "hardlink"}


def _add_files(tar: tarfile.TarFile, files: list[Path], root: Path) -> None:
    for path in files:
        tar.add(path, path.relative_to(root).as_posix(), recursive=False, filter=_anonymous)


def _add_documents(tar: tarfile.TarFile, documents: dict[str, Any]) -> None:
    for name, document in documents.items():
        content = json.dumps(document, indent=1, sort_keys=True).encode()
        member = _anonymous(tarfile.TarInfo(name))
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = _EPOCH_S
    # Keep only whether the file is executable; other mode bits depend on the umask of the build machine.
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


def _tar_zst(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(raw.getvalue())
