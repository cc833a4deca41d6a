"""The apt lock: what the base image of this tree holds, and how that differs from the lock before."""

from __future__ import annotations

from pathlib import Path

from build.decisions import lockdiff
from build.decisions.lockdiff import Difference
from build.decisions.names import STANDIN_LABEL
from build.drivers import files
from build.drivers.engine import Engine
from build.procedures import inventory
from build.procedures.build_images import Named


def apt_lock_name(flavour: str, standins: str) -> str:
    """Where a flavour's apt lock lies; one read from a stand-in system says so and never takes the genuine one's place.

    `standins` is the image's label: what it stands in for, with commas between.
    """
    suffix = ".standin" if "os" in standins.split(",") else ""
    return f"locks/apt-{flavour}{suffix}.txt"


def write_apt(engine: Engine, root: Path, flavour: str, base: Named) -> tuple[str, list[Difference]]:
    """Writes the apt lock of a base image; returns its name and what changed."""
    name = apt_lock_name(flavour, base.image.labels.get(STANDIN_LABEL, ""))
    path = root / name
    text = lockdiff.apt_lock(inventory.read(engine, str(base.image.id)))
    before = path.read_text() if path.exists() else ""
    files.replace(path, text)
    return name, lockdiff.differences("apt", lockdiff.packages("apt", before), lockdiff.packages("apt", text))
