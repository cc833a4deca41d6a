"""The languages of the page."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import page
from service.page import error_html
from service.page.chinese import CHINESE
from service.page.language import Language, translator_for
from service.synthesis.lifecycle import Phase

# Functions whose first argument is a text of the page.
TRANSLATING = {"say", "label"}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", Language.ENGLISH),
        ("zh-CN,zh;q=0.9,en;q=0.8", Language.CHINESE),
        ("zh", Language.CHINESE),
        ("zh-Hant-HK", Language.CHINESE),
        ("en-GB,en;q=0.9,zh;q=0.8", Language.ENGLISH),
        ("en;q=0.2, zh-TW;q=0.9", Language.CHINESE),
        ("de,zh;q=0.1", Language.CHINESE),
        ("zh;q=0", Language.ENGLISH),
        ("de, fr", Language.ENGLISH),
        ("zh;q=nonsense, *", Language.ENGLISH),
    ],
)
def test_the_language_is_the_one_that_the_browser_prefers(accepted: str, language: Language) -> None:
    assert translator_for({"accept-language": accepted}).language is language


def texts() -> Iterator[str]:
    """Yield each text that the page translates: the arguments of calls, and what their variables may hold."""
    yield from error_html._REMEDIES.values()
    yield from Phase
    for path in Path(page.__file__).parent.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        calls = [node for node in nodes if isinstance(node, ast.Call) and _name(node.func) in TRANSLATING]
        named = {call.args[0].id for call in calls if isinstance(call.args[0], ast.Name)}
        assigned = [node.value for node in nodes if isinstance(node, ast.Assign) and _name(node.targets[0]) in named]
        for value in [call.args[0] for call in calls] + assigned:
            if isinstance(value, ast.Constant | ast.IfExp):
                yield from (
                    node.value
                    for node in ast.walk(value)
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                )


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def test_every_text_has_a_translation() -> None:
    found = set(texts())
    assert len(found) > 50
    assert found - CHINESE.keys() == set()


def test_translations_have_the_values_of_their_texts() -> None:
    def values(text: str) -> set[str]:
        return {f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name}

    assert {text for text, translation in CHINESE.items() if values(text) != values(translation)} == set()
