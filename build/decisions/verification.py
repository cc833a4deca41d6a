"""What a look into an image found, line by line, and the rules for what no layer may hold."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "not verified"]

_CACHE = re.compile(
    r"(^|/)(\.cache/(pip|uv)|\.conda/pkgs|conda/pkgs|var/lib/apt/lists|var/cache/apt)/.*[^/]$|(^|/)var/cache/apt/archives/.*\.deb$"
)
_SECRET = re.compile(
    r"(^|/)(\.netrc|\.pypirc|\.git-credentials|id_(rsa|ed25519|ecdsa)|\.docker/config\.json|\.aws/credentials|\.kube/config)$"
)
PRIVATE_KEY = re.compile(rb"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----")
_SETUID = {"chfn", "chsh", "gpasswd", "mount", "newgrp", "passwd", "su", "umount"}
SETUID_BIT = 0o4000


@dataclass(frozen=True)
class Line:
    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """`image` is an ID; `part` is base or app."""

    image: str
    part: str
    lines: tuple[Line, ...]

    @property
    def failed(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.outcome == "failed")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Report:
        said = json.loads(text)
        return cls(said["image"], said["part"], tuple(Line(**line) for line in said["lines"]))


def line(name: str, good: bool, detail: str = "") -> Line:
    return Line(name, "passed" if good else "failed", detail)


def none_of(name: str, found: list[str]) -> Line:
    """Passed when nothing was found; else the first few."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return line(name, not found, ", ".join(found[:5]) + more)


def is_package_cache(path: str) -> bool:
    """A file (not an empty folder) of a package manager's cache; `path` without a leading slash."""
    return bool(_CACHE.search(path))


def is_secret(path: str, head: bytes) -> bool:
    """By its name, or by how it begins."""
    return bool(_SECRET.search(path) or PRIVATE_KEY.match(head))


def is_unexpected_setuid(path: str, mode: int) -> bool:
    return bool(mode & SETUID_BIT) and path.rpartition("/")[2] not in _SETUID
