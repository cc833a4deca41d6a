from __future__ import annotations

import json
from typing import Any

import pytest

from service.errors import ServiceError
from service.large_text import LargeText
from service.web.bounded_json import MAX_FIELDS, BoundedJson

LONGEST, MOST = 100, 3000


def parsed(content: bytes, step: int = 1 << 16) -> dict[str, Any]:
    body = BoundedJson(LONGEST, MOST)
    for start in range(0, len(content), step):
        body.feed(content[start : start + step])
    return body.value()


def plain(value: Any) -> Any:
    """Return a value with each LargeText as a string."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return "".join(value) if isinstance(value, LargeText) else value


VALUES = [
    {},
    {"input": "x", "speed": 1.5, "stream": None, "more": {"deep": ["a", {"b": []}]}},
    {"input": 'quotes " and \\ and \n and é and 😀 and \u2028'},
    {"input": '\\" " \\\\', "ref_audio": "+/=" * 200, "ref_text": "\\"},
    {"ref_audio": "+/A=\n" * 60, "input": "a" * 100},
    {"data": ["A" * 101, None, "B" * 5000], "x": "C" * 200},
]


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("value", VALUES)
def test_a_body_is_the_same_wherever_it_is_split(value: dict[str, Any], ensure_ascii: bool) -> None:
    content = json.dumps(value, ensure_ascii=ensure_ascii).encode()
    for step in (1, 2, 3, 7, 64, 1 << 16):
        found = parsed(content, step)
        assert {name: plain(item) for name, item in found.items()} == value
    large = [item for item in found.values() if isinstance(item, LargeText)]
    assert len(large) == sum(isinstance(item, str) and len(json.dumps(item, ensure_ascii=ensure_ascii).encode()) > 102
                             for item in value.values())  # fmt: skip


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "invalid_json", "not JSON"),
        (b'{"a": "b', "invalid_json", "not JSON"),
        (b'{"a": "' + b"b" * 200, "invalid_json", "not JSON"),
        (b'{"a": "\\', "invalid_json", "not JSON"),
        (b'{"a": "b"} {"c": "d"}', "invalid_json", "not JSON"),
        (b'{"a": NaN}', "invalid_json", "NaN is not a JSON value"),
        (b'{"a": 1, "b": 2, "a": 3}', "invalid_json", 'field "a" occurs twice'),
        (b'{"x": {"a": 1, "a": 1}}', "invalid_json", 'field "a" occurs twice'),
        (b'{"a": 1, "' + b"b" * 200 + b'": 1}', "invalid_value", "the name of a field has 200 bytes"),
        (b'["a"]', "invalid_type", "must be a JSON object"),
        (b"[" * 2999, "invalid_json", "nested too deeply"),
        (b"[" * 3001, "too_many_fields", "more than 3000 bytes beside"),
        (b"{" + b",".join(b'"%d":1' % number for number in range(MAX_FIELDS + 1)) + b"}", "too_many_fields", "201"),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 16])
def test_a_bad_body_is_refused(content: bytes, code: str, message: str, step: int) -> None:
    with pytest.raises(ServiceError) as error:
        parsed(content, step)
    assert (error.value.code, message in error.value.message) == (code, True), error.value.message


def test_many_strings_are_refused_before_the_end() -> None:
    body = BoundedJson(LONGEST, 1 << 20)
    with pytest.raises(ServiceError, match="more than 1000 names and strings"):
        body.feed(b'["",' + b'"",' * 1000)


def test_a_forged_mark_names_nothing_new() -> None:
    assert parsed(b'{"a": "\\u0000long 0"}') == {"a": "\0long 0"}
