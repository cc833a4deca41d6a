"""Links between the project's documents lead somewhere; excerpts of code and paths in them match the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import documents
from harness.stack import REPOSITORY

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
EXCERPT = re.compile(r"Excerpt of\s+`([^`]+)`[^`]*:\n\n```\w+\n(.*?)```", re.DOTALL)
PATH = re.compile(r"`((?:batch|bench|build|docs|golden|harness|locks|proxy|scripts|service|tests)/[\w./-]+)`")
NEW = "New file `"  # the page adds it
PAGES = documents.pages()


def anchors(page: Path) -> set[str]:
    """Return the names of a page's sections in links, as the usual renderers form them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
def test_a_page_has_no_broken_link(page: str) -> None:
    assert broken(REPOSITORY / page) == []


def wrong_excerpts(page: Path, root: Path) -> list[str]:
    """Excerpts that their file does not contain."""
    return [path for path, code in EXCERPT.findall(page.read_text()) if code not in (root / path).read_text()]


def missing_paths(page: Path, root: Path) -> list[str]:
    """Paths in code marks that do not exist, without those that the page adds."""
    text = page.read_text()
    named = [path for path in PATH.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)) if "NAME" not in path]
    return [path for path in named if f"{NEW}{path}" not in text and not (root / path).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(("docs/extending/", "docs/architecture"))])
def test_its_excerpts_and_paths_match_the_code(page: str) -> None:
    assert wrong_excerpts(REPOSITORY / page, REPOSITORY) == []
    assert missing_paths(REPOSITORY / page, REPOSITORY) == []


def test_a_wrong_excerpt_and_a_missing_path_are_seen(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/a.py").write_text("x = 1\ny = 2\n")
    page = tmp_path / "page.md"
    fence = "```"
    page.write_text(
        f"Excerpt of `build/a.py`:\n\n{fence}python\ny = 2\n{fence}\n\n"
        f"Excerpt of\n`build/a.py`, changed:\n\n{fence}python\ny = 3\n{fence}\n\n"
        "`build/none.py` and `build/later.py`. New file `build/later.py`.\n"
    )
    assert wrong_excerpts(page, tmp_path) == ["build/a.py"]
    assert missing_paths(page, tmp_path) == ["build/none.py"]


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](none.md) [b](#one-thing) [c](#other) `[d](none.md)` [e](https://example.org/x)\n")
    assert broken(page) == ["none.md", "#other"]
