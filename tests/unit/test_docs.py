"""Every link between the project's documents leads somewhere, to the section that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build.system import command
from harness.stack import REPOSITORY

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
PAGES = sorted(command.run(["git", "ls-files", "*.md"], cwd=REPOSITORY).decode().split())


def anchors(page: Path) -> set[str]:
    """A page's sections as the usual renderers name them in links."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    assert broken(REPOSITORY / page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](none.md) [b](#one-thing) [c](#other) `[d](none.md)` [e](https://example.org/x)\n")
    assert broken(page) == ["none.md", "#other"]
