"""Debian packages of an image against its apt lock: what moved, and which of it are security fixes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from build.locks.diff import differences, packages
from build.locks.inventory import Inventory

_SNAPSHOT = re.compile(r"^# snapshot: (\d{8}T\d{6}Z)$", re.MULTILINE)
# A label is read in a terminal: of more packages it gives the count alone.
LABELLED = 100


@dataclass(frozen=True)
class Drift:
    """One package that is not as locked.

    Attributes:
        locked: version in the lock; empty when the lock does not name the package.
        found: version in the image; empty when the image does not have it.
        security: the version in the image came from the distribution's security archive.
    """

    package: str
    locked: str
    found: str
    security: bool


@dataclass(frozen=True)
class AptLock:
    """The Debian packages of a base image at one moment.

    Attributes:
        snapshot: the moment, `YYYYMMDDTHHMMSSZ`, as snapshot archives name it; empty in a lock that gives none.
        versions: package -> version.
    """

    snapshot: str
    versions: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> AptLock:
        """Reads the text of a lock."""
        found = _SNAPSHOT.search(text)
        return cls(found[1] if found else "", packages("apt", text))

    @classmethod
    def from_inventory(cls, inventory: Inventory) -> AptLock:
        """The lock of what an image holds."""
        return cls(inventory.apt_time, dict(inventory.apt))

    def render(self) -> str:
        """The text of the lock; parse() reads it back."""
        moment = [f"# snapshot: {self.snapshot}"] if self.snapshot else []
        return "\n".join([*moment, *(f"{name}={version}" for name, version in sorted(self.versions.items())), ""])


def drift(inventory: Inventory, lock: AptLock) -> tuple[Drift, ...]:
    """What of an image is not as its lock says, by package."""
    return tuple(
        Drift(each.name, each.before, each.now, security=each.name in inventory.apt_security)
        for each in differences("apt", lock.versions, inventory.apt)
    )


def summary(found: Sequence[Drift]) -> str:
    """How many packages drifted, in one line: `3 packages differ from the apt lock, 2 by security fixes`."""
    fixes = sum(each.security for each in found)
    plural = "package differs" if len(found) == 1 else "packages differ"
    return f"{len(found)} {plural} from the apt lock, {fixes} by security fixes"


def label(found: Iterable[Drift]) -> str:
    """The drift as the value of a label: `name=version` of what the image holds, `name=` where a package is missing."""
    named = [f"{each.package}={each.found}" for each in found]
    more = [f"and {len(named) - LABELLED} more"] if len(named) > LABELLED else []
    return " ".join([*named[:LABELLED], *more])


def text(found: Iterable[Drift]) -> str:
    """The drift as plain lines: `package  locked -> found  (security)`."""
    return "\n".join(
        f"{each.package}  {each.locked or 'none'} -> {each.found or 'none'}{'  (security)' if each.security else ''}"
        for each in found
    )


def table(found: Iterable[Drift]) -> Table:
    """The drift for humans."""
    shown = Table("package", "locked", "found", "security", box=None, pad_edge=False)
    for each in found:
        shown.add_row(each.package, each.locked or "-", each.found or "-", "yes" if each.security else "no")
    return shown
