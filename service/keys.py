"""API keys, in a file with one per line: `NAME sha256:HASH [rpm=N] [cpm=N] [concurrent=N]`; `#` begins a comment.

rpm and cpm: requests and characters of text per minute; concurrent: concurrent requests; 0: no limit. `python -m
service.keys new NAME` creates a key and prints its line.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import logging
import re
import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from service.settings import Limits

logger = logging.getLogger(__name__)

FIELDS = {"rpm": "requests", "cpm": "characters", "concurrent": "concurrent"}
"""Names of the Limits in the file."""

_NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"(?P<name>{_NAME}) sha256:(?P<hash>[0-9a-f]{{64}})(?P<limits>(?: [a-z]+=\d{{1,9}})*)")
_MAX_BYTES = 1_000_000


class KeysError(Exception):
    """The key file is unusable; the message states the reason, and never the file's content."""


@dataclass(frozen=True)
class Key:
    """Name of the key's owner, hash of the key, and its limits."""

    name: str
    digest: bytes
    limits: Limits


class Keys:
    """Keys of the file at `path`, which is read again when it changes: deleting a line revokes its key.

    `limits` apply to keys whose line sets none. Raise KeysError if the file is unusable at start. If it becomes
    unusable later, the service logs an error and keeps the previous keys.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._stamp = _stamp(path)
        self._keys = parse(_read(path), limits)

    def find(self, token: str) -> Key | None:
        """Return the key that matches `token`, or None."""
        self._refresh()
        digest = _digest(token)
        found = None
        for key in self._keys:  # compare all keys in constant time: the duration must not leak a match
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = parse(_read(self._path), self._limits)
        except KeysError as error:
            logger.error("%s; the previous keys stay valid", error)
        else:
            logger.info("read %d API keys", len(self._keys))


def parse(text: str, limits: Limits) -> list[Key]:
    """Parse the text of the file; raise KeysError with the number of an invalid line."""
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = " ".join(line.partition("#")[0].split())
        if stripped:
            keys.append(_key(stripped, limits, number))
    if not keys:
        raise KeysError("the API key file has no key; create one with `python -m service.keys new NAME`")
    names = [key.name for key in keys]
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise KeysError(f"the API key file has two keys named {duplicate}; rename or delete one")
    return keys


def _key(line: str, limits: Limits, number: int) -> Key:
    match = _LINE.fullmatch(line)
    if not match:
        raise KeysError(f"line {number} of the API key file is not `NAME sha256:HASH [rpm=N] [cpm=N] [concurrent=N]`")
    overrides = dict(part.split("=") for part in match["limits"].split())
    unknown = set(overrides) - set(FIELDS)
    if unknown:
        known = ", ".join(FIELDS)
        raise KeysError(f"line {number} of the API key file has the unknown limit {min(unknown)}; limits are {known}")
    limits = replace(limits, **{FIELDS[name]: int(value) for name, value in overrides.items()})
    return Key(match["name"], bytes.fromhex(match["hash"]), limits)


def _digest(token: str) -> bytes:
    # A key is 256 random bits, so its hash cannot be guessed; a slow or salted hash would add nothing.
    return hashlib.sha256(token.encode()).digest()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise KeysError(f"the API key file has more than {_MAX_BYTES} bytes")
        return content.decode()
    except OSError as error:
        raise KeysError(f"cannot read the API key file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysError(f"the API key file {path} is not UTF-8") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def new(name: str, limits: dict[str, int]) -> tuple[str, str]:
    """Create a key; return it and its line for the file."""
    key = f"tts_{secrets.token_urlsafe(32)}"
    parts = [name, f"sha256:{_digest(key).hex()}", *(f"{field}={value}" for field, value in limits.items())]
    return key, " ".join(parts)


def main() -> int:
    """Run the command line: new NAME."""
    parser = argparse.ArgumentParser(prog="python -m service.keys", description="Manage API keys.")
    command = parser.add_subparsers(dest="command", required=True).add_parser("new", help="create a key and print it")
    command.add_argument("name", metavar="NAME", help="name of the key's owner: letters, digits, . _ -")
    meanings = ("requests per minute", "characters per minute", "concurrent requests")
    for field, meaning in zip(FIELDS, meanings, strict=True):
        command.add_argument(f"--{field}", type=int, metavar="N", help=f"{meaning}; 0: no limit")
    arguments = parser.parse_args()
    if not re.fullmatch(_NAME, arguments.name):
        parser.error("NAME must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    limits = {field: value for field in FIELDS if (value := getattr(arguments, field)) is not None}
    if any(not 0 <= value < 10**9 for value in limits.values()):
        parser.error("a limit must be a whole number from 0 to 999999999")
    key, line = new(arguments.name, limits)
    sys.stdout.write(f"The key, shown only once:\n{key}\n\nIts line for the API key file:\n{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
