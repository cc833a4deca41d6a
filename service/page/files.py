"""Files for visitors of the page, in the folder that Gradio serves and cleans up; it is small and may be full."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from service.disk import is_full
from service.errors import StorageFullError


def create_folder(parent: str) -> Path:
    """Create a separate folder in `parent`; raise StorageFullError."""
    with _storage_errors():
        Path(parent).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=parent))


def write_file(content: bytes, name: str, parent: str) -> str:
    """Write a file and return its path; StorageFullError leaves no partial file. Blocking."""
    folder = create_folder(parent)
    try:
        with _storage_errors():
            (folder / name).write_bytes(content)
    except BaseException:
        remove(folder)
        raise
    return str(folder / name)


def remove(folder: Path) -> None:
    """Delete a folder with its content."""
    shutil.rmtree(folder, ignore_errors=True)


def add_to_zip(path: Path, name: str, content: bytes | str) -> None:
    """Add a file to a zip, which is created if missing; StorageFullError leaves the zip unchanged. Blocking."""
    start, end = _table(path)
    try:
        with _storage_errors(), zipfile.ZipFile(path, "a") as file:
            file.writestr(name, content)
    except BaseException:
        # The failed entry has overwritten the central directory: restore it.
        with path.open("r+b") as file:
            file.truncate(start)
            file.seek(start)
            file.write(end)
        raise


def _table(path: Path) -> tuple[int, bytes]:
    """Return the offset of a zip's central directory, and the directory."""
    if not path.exists():
        path.touch()
    if not path.stat().st_size:
        return 0, b""
    with zipfile.ZipFile(path) as file:
        start = file.start_dir
    with path.open("rb") as file:
        file.seek(start)
        return start, file.read()


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFullError from None
        raise
