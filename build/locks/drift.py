"""Drift of an image's Debian packages from its apt lock, and which differences are security fixes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from build.locks.diff import differences, packages
from build.locks.inventory import Inventory
from build.table import Records

_SNAPSHOT = re.compile(r"^# snapshot: (\d{8}T\d{6}Z)$", re.MULTILINE)
# Maximum number of packages in the label, which people read in a terminal; it only counts the rest.
LABELLED = 100


@dataclass(frozen=True)
class Drift:
    """One package that differs from its lock.

    Attributes:
        locked: version in the lock; empty if the lock does not name the package.
        found: version in the image; empty if the image does not have the package.
        security: the version in the image came from the distribution's security archive.
    """

    package: str
    locked: str
    found: str
    security: bool


@dataclass(frozen=True)
class AptLock:
    """The Debian packages of a base image at one point in time.

    Attributes:
        snapshot: the time as snapshot archives name it, `YYYYMMDDTHHMMSSZ`; empty if the lock gives none.
        versions: package -> version.
    """

    snapshot: str
    versions: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> AptLock:
        """Parse the text of a lock."""
        found = _SNAPSHOT.search(text)
        return cls(found[1] if found else "", packages("apt", text))

    @classmethod
    def from_inventory(cls, inventory: Inventory) -> AptLock:
        """Make the lock from an image's inventory."""
        return cls(inventory.apt_time, dict(inventory.apt))

    def render(self) -> str:
        """Render the lock as text; parse() reads it back."""
        moment = [f"# snapshot: {self.snapshot}"] if self.snapshot else []
        return "\n".join([*moment, *(f"{name}={version}" for name, version in sorted(self.versions.items())), ""])


def drift(inventory: Inventory, lock: AptLock) -> tuple[Drift, ...]:
    """List the packages of an image that differ from its lock."""
    return tuple(
        Drift(package.name, package.before, package.now, security=package.name in inventory.apt_security)
        for package in differences("apt", lock.versions, inventory.apt)
    )


def summary(found: Sequence[Drift]) -> str:
    """Summarise the drift in one line: `3 packages differ from the apt lock, 2 by security fixes`."""
    fixes = len([package for package in found if package.security])
    plural = "package differs" if len(found) == 1 else "packages differ"
    return f"{len(found)} {plural} from the apt lock, {fixes} by security fixes"


def label(found: Iterable[Drift]) -> str:
    """Format the drift as a label value: `name=version` as in the image; `name=` for a missing package."""
    versions = [f"{change.package}={change.found}" for change in found]
    more = [f"and {len(versions) - LABELLED} more"] if len(versions) > LABELLED else []
    return " ".join([*versions[:LABELLED], *more])


def text(found: Iterable[Drift]) -> str:
    """Format the drift as plain lines: `package  locked -> found  (security)`."""
    lines = []
    for change in found:
        security = "  (security)" if change.security else ""
        lines.append(f"{change.package}  {change.locked or 'none'} -> {change.found or 'none'}{security}")
    return "\n".join(lines)


def table(found: Iterable[Drift]) -> Records:
    """Format the drift as a table for the terminal."""
    rows = [
        (change.package, change.locked or "none", change.found or "none", "yes" if change.security else "no")
        for change in found
    ]
    return Records(("package", "locked", "found", "security"), rows)
