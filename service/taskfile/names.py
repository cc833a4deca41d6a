"""What a clip may be called: one plain file name, the same on every file system."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from service.formats import EXTENSIONS

_MAX_BYTES = 200
_SIGNS = '/\\:*?"<>|'
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)")  # Windows', which drops spaces


def file_name(name: str, form: str) -> str:
    """`name` with the extension of `form`, composed (NFC); raise ValueError with what is wrong with it."""
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
        raise ValueError("has characters that cannot be printed")
    if name.startswith(".") or name.endswith((".", " ")) or _DEVICE.match(name):
        raise ValueError("must not begin with a dot, end with a dot or a space, or name a device")
    name = f"{name}.{form}"
    if len(name.encode("utf-8", "replace")) > _MAX_BYTES:
        raise ValueError(f"has more than {_MAX_BYTES} bytes")
    return name


def key(name: str) -> int:
    """64 bits that two names share when some file system takes them for the same."""
    folded = unicodedata.normalize("NFC", name.casefold())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest())
