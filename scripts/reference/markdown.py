"""Markdown of the generated pages: tables, code, and templates whose prose is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Render a Markdown table; bars in cells are escaped."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Render text as code; an empty text stays empty."""
    return f"`{text}`" if str(text) else ""


def codes(names: Iterable[object]) -> str:
    """Render several names as code, separated by commas."""
    return ", ".join(map(code, names))


def first_paragraph(documented: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((documented.__doc__ or "").partition("\n\n")[0].split())


def fill(template: str, **parts: str) -> str:
    """Return a template of TEMPLATES with each `{{name}}` replaced.

    Raises:
        ValueError: a slot has no part, or a part has no slot.
    """
    text = (TEMPLATES / template).read_text()
    slots = set(_SLOT.findall(text))
    if slots != set(parts):
        raise ValueError(f"{template} has the slots {sorted(slots)}, but the code fills {sorted(parts)}")
    return _SLOT.sub(lambda slot: parts[slot[1]], text).strip()
