"""Differences between two locks, or between an image and the locks it was built from. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from build.locks.inventory import Inventory

_PIP = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
_CONDA = re.compile(r"^\S+/([^/\s#]+)-([^-/\s#]+)-([^-/\s#]+)\.(?:conda|tar\.bz2)#", re.MULTILINE)
_APT = re.compile(r"^([a-z0-9][^\s=]*)=(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Difference:
    """One package that differs from before, or from its lock; an empty version means that it is absent."""

    kind: str
    name: str
    before: str
    now: str


@dataclass(frozen=True)
class LockTexts:
    """The texts of an image's locks; None if there is no lock of that kind, so nothing is compared.

    Attributes:
        pip: every installed pip lock (cuda: torch.txt and cuda.txt).
    """

    pip: tuple[str, ...] | None = None
    conda: str | None = None


def packages(kind: str, text: str) -> dict[str, str]:
    """Parse a lock of kind pip, conda or apt into name -> version (conda: version=build)."""
    if kind == "pip":
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _PIP.findall(text)}
    if kind == "conda":
        return {name: f"{version}={build}" for name, version, build in _CONDA.findall(text)}
    return dict(_APT.findall(text))


def differences(kind: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """List added, removed and changed packages by name."""
    return [
        Difference(kind, name, before.get(name, ""), now.get(name, ""))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def between(kind: str, before: str, now: str) -> list[Difference]:
    """List the changes from one lock's text to another's."""
    return differences(kind, packages(kind, before), packages(kind, now))


def drift(inventory: Inventory, locks: LockTexts) -> list[Difference]:
    """List where an image (`now`) differs from its conda and pip locks (`before`); empty if it matches exactly.

    build.locks.drift compares the Debian packages.
    """
    found: list[Difference] = []
    if locks.conda is not None:
        installed = {name: f"{version}={build}" for name, (version, build) in inventory.conda.items()}
        found += differences("conda", packages("conda", locks.conda), installed)
    if locks.pip is not None:
        locked = {name: version for text in locks.pip for name, version in packages("pip", text).items()}
        found += differences("pip", locked, inventory.pip)
    return found
