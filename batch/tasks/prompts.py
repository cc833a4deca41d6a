"""Prompt recordings: located relative to the task file, checked to be audio, hashed, and encoded for the service."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import stat
from pathlib import Path

from service.fields import quote
from service.taskfile.tasks import BadLineError

MAX_BYTES = 18 * 1024 * 1024
"""In base64 it still fits into the service's body limit (25 MiB)."""


class Prompts:
    """The recordings that a task file names, relative to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digest = functools.lru_cache(maxsize=1024)(self._digest)

    def path(self, name: str) -> Path:
        """Return the path of a prompt."""
        return self.folder / name

    def _digest(self, name: str) -> str:
        """Return the hash of a prompt's bytes, "" for no prompt; raise BadLineError if it is no usable recording."""
        if not name:
            return ""
        from service.audio import recording  # noqa: PLC0415 - numpy and the decoder: most task files have no prompts

        content = self._read(name)
        # The file is sent to the service: a line must not be able to send any other file of this machine.
        try:
            recording.decode(io.BytesIO(content), recording.REFERENCE_SECONDS)
        except recording.BadRecordingError as error:
            raise BadLineError(f"prompt_audio {quote(name)} {error}") from None
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def encoded(self, name: str) -> str:
        """Return a prompt's bytes in base64. Blocking; raises BadLineError."""
        return base64.b64encode(self._read(name)).decode()

    def _read(self, name: str) -> bytes:
        label = f"prompt_audio {quote(name)}"
        try:
            status = self.path(name).stat()
            if not stat.S_ISREG(status.st_mode):
                raise BadLineError(f"{label} is not a file")
            if status.st_size > MAX_BYTES:
                raise BadLineError(f"{label} has {status.st_size} bytes, at most {MAX_BYTES} are allowed")
            content = self.path(name).read_bytes()
        except (OSError, ValueError) as error:
            if isinstance(error, BadLineError):
                raise
            raise BadLineError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return content
