"""A long string of a JSON body, such as a recording in base64, in the parts in which it arrived.

Python parses JSON, decodes base64 and copies text while it holds the interpreter's lock. A string of 20 MB would stop
the event loop for tens of milliseconds, from any thread. So each step handles one part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_LONGEST_ESCAPE = 6  # \u002B


class LargeText:
    """Text as parts of a JSON string: escaped, without the quotes. A pydantic field of this type accepts any string."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    @property
    def size(self) -> int:
        """Length of the JSON string in bytes."""
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[str]:
        """Yield the text part by part; ValueError may refuse text with characters that base64 does not have."""
        rest = b""
        for part in self._parts:
            joined = rest + part
            cut = joined.rfind(b"\\", max(0, len(joined) - _LONGEST_ESCAPE + 1))  # an escape may go on in the next part
            cut = len(joined) if cut < 0 else cut
            rest = joined[cut:]
            yield _unescaped(joined[:cut])
        yield _unescaped(rest)

    def __repr__(self) -> str:
        return f"a text of {self.size} bytes"

    @classmethod
    def of(cls, value: Any) -> LargeText:
        """Return a string as LargeText."""
        if isinstance(value, str):
            return cls((json.dumps(value)[1:-1].encode(),))
        if not isinstance(value, cls):
            raise PydanticCustomError("string_type", "Input should be a valid string")
        return value

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string"}


def _unescaped(part: bytes) -> str:
    text: str = json.loads(b'"' + part + b'"')
    return text
