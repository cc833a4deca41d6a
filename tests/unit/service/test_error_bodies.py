"""Error responses stay short, whatever they quote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.errors import error_body
from service.fields import nearest, quote


def test_a_long_message_and_a_long_field_name_are_cut() -> None:
    content = error_body("é" * 10**6, "invalid_request_error", "invalid_value", "f" * 10**6)
    assert len(content) < 13_000
    error = json.loads(content)["error"]
    assert error["message"].endswith("é...")
    assert len(error["param"]) == 120


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("x" * 10**7, '"' + "x" * 59 + "..."),
        ("é" * 10**6, '"' + "\\u00e9" * 9 + "\\u00e..."),
        (nested(10_000), "[" * 60 + "..."),
        ([1] * 10**6, "[1" + ", 1" * 19 + ",..."),
        ({"a": None}, '{"a": null}'),
        (1.5, "1.5"),
        ("short", '"short"'),
        ({1}, '"{1}"'),
    ],
    ids=["string", "escapes", "deep", "list", "object", "number", "short", "other"],
)
def test_a_value_is_quoted_up_to_a_limit(value: object, quoted: str) -> None:
    assert quote(value) == quoted


def test_the_nearest_name_of_a_huge_word_is_not_searched() -> None:
    assert nearest("joes", ["joe"]) == " Did you mean 'joe'?"
    assert nearest("joe" * 10**6, ["joe"]) == ""
