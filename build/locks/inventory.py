"""What an image holds: its Python, conda, pip and Debian packages; and the same as a file that conda users know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inventory:
    """Packages by name.

    Attributes:
        name, prefix: of the conda environment.
        conda: name -> (version, build string).
        pip: normalized name -> version, of what pip or uv installed; what a conda package brought is not in it.
        apt: name -> version; `name:architecture` for a foreign architecture.
        apt_security: the names among them whose version came from the distribution's security archive.
        apt_source: `mirror` or `snapshot`: where the packages were taken from; empty when the image does not say.
        apt_time: the date of that archive's newest index, or of the snapshot, as `YYYYMMDDTHHMMSSZ`; empty likewise.
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
    """What build/locks/in_image/inventory.py printed.

    Raises:
        ValueError: it is something else.
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
        raise ValueError(f"this is no inventory: {error!r}") from None


def exported(inventory: Inventory) -> str:
    """The inventory as `conda env export` writes an environment, with the Debian packages as comments below.

    Comments, because conda warns about keys it does not know, and because nothing but apt could act on them.
    Strings are written as JSON, which YAML reads, so that no version turns into a number.
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
