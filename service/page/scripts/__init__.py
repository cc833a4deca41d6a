"""Scripts of the page, for the browser."""

from __future__ import annotations

from pathlib import Path


def read_script(name: str) -> str:
    """Return the source of a script."""
    return (Path(__file__).parent / f"{name}.js").read_text()
