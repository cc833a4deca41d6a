"""Hooks of schemathesis: texts that can be spoken, because no schema describes which ones can."""

from __future__ import annotations

import re
from typing import Any

import schemathesis


def _speakable(text: Any) -> Any:
    """Return a text of the same length in ASCII letters; other values, and an empty text, stay invalid."""
    return re.sub(r"[^A-Za-z ]", "x", text.strip() or "x" * len(text)) if isinstance(text, str) else text


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Make the text of a generated request speakable."""
    if not isinstance(body, dict):
        return body
    if "input" in body:
        return body | {"input": _speakable(body["input"])}
    if isinstance(body.get("data"), list) and len(body["data"]) == 3:
        return body | {"data": [*body["data"][:2], _speakable(body["data"][2])]}
    return body
