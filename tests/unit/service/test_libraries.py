"""Every library that service/ and batch/ import is in the inputs of the locks, not only a dependency of another."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

SERVICE = Path("service")
ENGINES = SERVICE / "engines"
ON_TORCH = sorted(
    [ENGINES / "torch_device.py", *(ENGINES / "vits").rglob("*.py"), *(ENGINES / "glm_tts").rglob("*.py")]
)
"""Modules that need torch; only the cuda flavour has their libraries."""


def imported(files: list[Path]) -> set[str]:
    """Return the top-level packages that files import, without the standard library and the project."""
    return {name for file in files for name in _imports(file)} - sys.stdlib_module_names - {"batch", "service"}


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def named(*inputs: str) -> set[str]:
    """Return the distributions that inputs of locks name."""
    lines = "\n".join(Path("locks", name).read_text() for name in inputs)
    return {
        found.lower() for found in re.findall(r"^[A-Za-z0-9._-]+", lines, re.MULTILINE) if not found.startswith("-")
    }


def distributions(packages: set[str]) -> set[str]:
    """Return the distributions of packages; a package that is not installed (torch) has its own name."""
    known = packages_distributions()
    return {re.sub(r"[-_.]+", "-", known.get(package, [package])[0]).lower() for package in packages}


@pytest.mark.parametrize(
    ("part", "inputs", "one"),
    [
        (sorted(Path("batch").rglob("*.py")), ("service.in",), "httpx"),
        (sorted(set(SERVICE.rglob("*.py")) - set(ON_TORCH)), ("service.in",), "fastapi"),
        (ON_TORCH, ("service.in", "cuda.in", "torch.in"), "torch"),
    ],
    ids=["batch", "all that needs no torch", "on torch"],
)
def test_every_imported_library_is_in_the_inputs_of_the_locks(
    part: list[Path], inputs: tuple[str, ...], one: str
) -> None:
    found = distributions(imported(part))
    assert one in found
    assert found - named(*inputs) == set()
