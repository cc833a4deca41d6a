"""Inventory of an image: Python, conda, pip and Debian packages, also in the format of `conda env export`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inventory:
    """Packages of an image by name.

    Attributes:
        name, prefix: of the conda environment.
        conda: name -> (version, build string).
        pip: normalized name -> version of packages that pip or uv installed, without those from conda packages.
        apt: name -> version; `name:architecture` for a foreign architecture.
        apt_security: names of the Debian packages whose version came from the distribution's security archive.
        apt_source: source of the packages, `mirror` or `snapshot`; empty if unknown.
        apt_time: date of the mirror's newest index, or of the snapshot, as `YYYYMMDDTHHMMSSZ`; empty if unknown.
    """

    python: str
    name: str
    prefix: str
    channels: tuple[str, ...]
    conda: Mapping[str, tuple[str, str]]
    pip: Mapping[str, str]
    apt: Mapping[str, str]
    apt_security: frozenset[str] = frozenset()
    apt_source: str = ""
    apt_time: str = ""


def parse(text: str) -> Inventory:
    """Parse the output of build/locks/in_image/inventory.py.

    Raises:
        ValueError: the text is not an inventory.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        return Inventory(
            python=str(found["python"]),
            name=str(found["name"]),
            prefix=str(found["prefix"]),
            channels=tuple(map(str, found["channels"])),
            conda={name: (str(version), str(build)) for name, (version, build) in found["conda"].items()},
            pip={name: str(version) for name, version in found["pip"].items()},
            apt={name: str(version) for name, version in found["apt"].items()},
            apt_security=frozenset(map(str, found["apt_security"])),
            apt_source=str(found["apt_source"]),
            apt_time=str(found["apt_time"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an inventory: {error!r}") from None


def exported(inventory: Inventory) -> str:
    """Render the inventory like `conda env export`, with the Debian packages as comments at the end.

    Comments, because conda warns about unknown keys and cannot install Debian packages. Strings are written as JSON,
    which is valid YAML, so that no version becomes a number.
    """
    lines = [f"name: {json.dumps(inventory.name)}", "channels:"]
    lines += [f"  - {json.dumps(channel)}" for channel in inventory.channels]
    lines += ["dependencies:"]
    lines += [f"  - {json.dumps(f'{name}={v}={build}')}" for name, (v, build) in sorted(inventory.conda.items())]
    if inventory.pip:
        lines += ["  - pip:", *(f"    - {json.dumps(f'{name}=={v}')}" for name, v in sorted(inventory.pip.items()))]
    lines += [f"prefix: {json.dumps(inventory.prefix)}"]
    lines += ["# apt packages of the image:", *(f"#   {name}={v}" for name, v in sorted(inventory.apt.items()))]
    return "\n".join([*lines, ""])
