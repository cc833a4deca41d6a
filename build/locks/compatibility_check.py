"""Early check that a clone's versions work together, in milliseconds, before an hour of build time is lost."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from build.errors import IncompatibleError
from build.locks import compatibility as pure

TABLE = Path(__file__).parents[1] / "data" / "compatibility.toml"


def require(root: Path, flavour: str) -> None:
    """Check the inputs of a flavour in the clone at `root`.

    Raises:
        IncompatibleError: lists all contradictions, each with its remedy.
    """
    found = pure.check(_facts(root, flavour), table())
    if found:
        names = [contradiction.name for contradiction in found]
        raise IncompatibleError(
            f"versions of the {flavour} flavour exclude each other: {', '.join(names)}",
            detail="\n".join(f"{contradiction.name}: {contradiction.message}" for contradiction in found),
            remedy="; ".join(dict.fromkeys(contradiction.remedy for contradiction in found)),
        )


def facts_for_labels(root: Path, flavour: str) -> dict[str, str]:
    """Image labels: torch, its CUDA, the base's CUDA and the oldest driver; empty for a flavour without torch."""
    return pure.labels(_facts(root, flavour), table())


def table() -> dict[str, Any]:
    """Load the compatibility table (TABLE)."""
    return tomllib.loads(TABLE.read_text())


def _facts(root: Path, flavour: str) -> pure.DeclaredVersions:
    torch = ("torch.in", "torch.txt") if flavour == "cuda" else ()
    locks = [root / "locks" / name for name in ("service.in", f"{flavour}.in", f"{flavour}.txt", *torch)]
    return pure.read(
        (root / "environment.yml").read_text(),
        "\n".join(lock.read_text() for lock in locks if lock.exists()),
        (root / "Dockerfile.base").read_text(),
        flavour,
    )
