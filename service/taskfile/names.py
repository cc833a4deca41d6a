"""Rules for clip names: one plain file name that is valid on every file system."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from service.formats import EXTENSIONS

_MAX_BYTES = 200
_SIGNS = '/\\:*?"<>|'
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)")  # Windows'; it drops spaces


def file_name(name: str, form: str) -> str:
    """Return `name` with the extension of `form`, normalized (NFC); raise ValueError with the problem."""
    name = unicodedata.normalize("NFC", name)
    stem, dot, extension = name.rpartition(".")
    if dot and extension.lower() in EXTENSIONS:
        if extension.lower() != form:
            raise ValueError(f"ends in .{extension}, but the clips are {form}")
        name = stem
    if not name:
        raise ValueError("is empty")
    if bad := [sign for sign in _SIGNS if sign in name]:
        raise ValueError(f"has {' '.join(bad)}: it must be a plain file name, without folders")
    if not name.isprintable():
        raise ValueError("has unprintable characters")
    if name.startswith(".") or name.endswith((".", " ")) or _DEVICE.match(name):
        raise ValueError("must not begin with a dot, end with a dot or a space, or be a device name")
    name = f"{name}.{form}"
    if len(name.encode("utf-8", "replace")) > _MAX_BYTES:
        raise ValueError(f"has more than {_MAX_BYTES} bytes")
    return name


def key(name: str) -> int:
    """Return a 64-bit key that is equal for names that some file system treats as the same."""
    folded = unicodedata.normalize("NFC", name.casefold())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest())
