"""Parse a JSON object in bounded steps while it arrives.

Strings of more than `longest` bytes become a LargeText without being parsed; everything else together is small. So no
step holds the interpreter's lock for more than a few milliseconds, whatever the client sends. Pure, no I/O.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from service.errors import BadJsonError, InvalidError
from service.fields import quote
from service.large_text import LargeText

MAX_FIELDS = 200
_SMALL = 16 * 1024  # bytes
_MAX_STRINGS = 1000  # names of fields included

_CONTENT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class BoundedJson:
    """Collects one JSON object; `longest` bounds a string that is parsed, `most` everything that is (bytes)."""

    def __init__(self, longest: int, most: int) -> None:
        self._longest = longest
        self._most = most
        self._parsed = bytearray()
        self._large: list[list[bytes]] = []
        self._string: int | None = None  # where the current string begins in `_parsed`; None outside of strings
        self._taken = 0  # bytes of the current string
        self._strings = 0
        self._rest = b""

    @property
    def small(self) -> bool:
        """Whether `value` takes less than a millisecond."""
        return len(self._parsed) < _SMALL

    def feed(self, data: bytes) -> None:
        """Add the next bytes; raise InvalidError if too much must be parsed."""
        data, self._rest = self._rest + data, b""
        at = 0
        while at < len(data):
            at = self._outside(data, at) if self._string is None else self._inside(data, at)
        if len(self._parsed) > self._most:
            message = f"the body has more than {self._most} bytes beside its long strings"
            raise InvalidError(message, code="too_many_fields")

    def _outside(self, data: bytes, at: int) -> int:
        end = data.find(b'"', at) + 1
        self._parsed += data[at : end or len(data)]
        if end:
            self._string, self._taken = len(self._parsed), 0
            self._strings += 1
            if self._strings > _MAX_STRINGS:
                raise InvalidError(f"the body has more than {_MAX_STRINGS} names and strings", code="too_many_fields")
        return end or len(data)

    def _inside(self, data: bytes, at: int) -> int:
        found = _CONTENT.match(data, at)
        end = found.end() if found else at
        self._take(data[at:end])
        if data[end : end + 1] == b'"':
            self._parsed += b'"'
            self._string = None
            return end + 1
        self._rest = data[end:]  # nothing, or a backslash whose next byte has not arrived
        return len(data)

    def _take(self, content: bytes) -> None:
        before, self._taken = self._taken, self._taken + len(content)
        if self._taken <= self._longest:
            self._parsed += content
        elif before > self._longest:
            self._large[-1].append(content)
        else:
            self._large.append([bytes(self._parsed[self._string :]) + content])
            del self._parsed[self._string :]
            self._parsed += _mark(len(self._large) - 1).encode()

    def value(self) -> dict[str, Any]:
        """Return the object, with a LargeText for each long string in it or in a list of it.

        Raise BadJsonError or InvalidError.
        """
        try:
            value = json.loads(bytes(self._parsed + self._rest), parse_constant=_no_constant, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise BadJsonError(f"the body is not JSON: {reason}") from None
        if not isinstance(value, dict):
            raise InvalidError("the body must be a JSON object", code="invalid_type")
        if len(value) > MAX_FIELDS:
            raise InvalidError(
                f"the body has {len(value)} fields, at most {MAX_FIELDS} are allowed", code="too_many_fields"
            )
        large = {_mark(number).replace("\\u0000", "\0"): LargeText(parts) for number, parts in enumerate(self._large)}
        for name in large.keys() & value.keys():
            raise InvalidError(f"the name of a field has {large[name].size} bytes", code="invalid_value")
        return {name: _restored(item, large) for name, item in value.items()} if large else value


def _mark(number: int) -> str:
    """Return what stands for a long string, as JSON; one that the client writes itself means the same."""
    return f"\\u0000long {number}"


def _restored(item: Any, large: dict[str, LargeText]) -> Any:
    if isinstance(item, list):
        return [large.get(part, part) if isinstance(part, str) else part for part in item]
    return large.get(item, item) if isinstance(item, str) else item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"field {quote(twice)} occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
