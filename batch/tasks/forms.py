"""Recognise lists of tasks that are not JSON lines with this project's fields, and read their records. Pure."""

from __future__ import annotations

import ast
import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from service.taskfile.tasks import FIELDS, GLM_TTS

Record = dict[str, Any]

_NAMES: dict[str, tuple[str, ...]] = {
    "output_name": (
        "output_name",
        "uttid",
        "custom_id",
        "out",
        "output",
        "file",
        "filename",
        "utt",
        "key",
        "name",
        "id",
    ),
    "input_text": ("input_text", "syn_text", "text", "input", "tts_text", "sentence", "content"),
    "voice": ("voice", "speaker", "spk"),
    "prompt_audio": ("prompt_audio", "prompt_speech", "prompt_wav", "ref_audio", "reference_audio"),
    "prompt_text": ("prompt_text", "ref_text", "reference_text"),
    "seed": ("seed",),
}
_KNOWN = frozenset((*FIELDS, *GLM_TTS))
_FOREIGN = frozenset(itertools.chain.from_iterable(_NAMES.values())) - _KNOWN
_META = ("output_name", "prompt_text", "prompt_audio", "input_text")  # id|prompt text|prompt|text, as of Seed-TTS
_EXTENSION = re.compile(r"\.(?:wav|flac|mp3|ogg|opus|aac|m4a|pcm)$", re.IGNORECASE)
_COMMENT = re.compile(r"(?m)^\s*(?:#|//).*$")
_TRAILING = re.compile(r"([}\]])\s*,(?=\s*(?:$|[\n}\]]))")


def recognise(head: str) -> str:
    """Return what a list is, by its beginning; "" for JSON lines with known fields, or a text of no known form."""
    head = head.strip("\ufeff\0 \t\r\n")
    if "\r" in head and "\n" not in head:
        return "a list whose lines end with CR alone"
    if head.startswith("["):
        return "a JSON array"
    if head.startswith(("#", "//")) and _COMMENT.sub("", head).lstrip().startswith("{"):
        return "a list with comments"
    if head.startswith("{"):
        return _recognise_object(head)
    first = head.split("\n", 1)[0]
    if _dialect(first):
        return "a table with a header (CSV)"
    return "a list with columns separated by |" if first.count("|") in (1, 3, 4) else ""


def _recognise_object(head: str) -> str:
    if re.match(r"\{\s*'", head):
        return "a list with single quotation marks, as Python prints it"
    try:
        record, end = json.JSONDecoder().raw_decode(head)
    except ValueError:
        return "pretty-printed JSON" if head.split("\n", 1)[0].strip() == "{" else ""
    except RecursionError:
        return ""
    return _recognise_record(record) or _recognise_layout(head, end)


def _recognise_record(record: Record) -> str:
    if "custom_id" in record and isinstance(record.get("body"), dict):
        return "a batch in OpenAI's form"
    lists = [value for value in record.values() if isinstance(value, list)]
    if len(lists) == len(record) == 1 and lists[0] and all(map(_is_object, lists[0])):
        return "a JSON array"
    if record and len(lists) == len(record) and not {*record} & _KNOWN:
        return "a JSON object of texts by name, as CosyVoice reads it"
    foreign = {*record} & _FOREIGN and not {"input_text", "syn_text"} & {*record}
    return "a list with other field names" if foreign else ""


def _recognise_layout(head: str, end: int) -> str:
    if "\n" in head[:end]:
        return "pretty-printed JSON"
    several = head[end : end + 200].lstrip(" \t,").startswith("{")
    return "a list with several objects on a line" if several else ""


def records(text: str) -> Iterator[Record]:
    """Yield the records of a list in any form that `recognise` knows.

    Raises:
        ValueError: a part of the list is in no such form.
    """
    text = text.strip("\ufeff\0 \t\r\n").replace("\r\n", "\n").replace("\r", "\n").replace("\n\ufeff", "\n")
    first = text.split("\n", 1)[0]
    if not text.startswith(("[", "{", "#", "//")):
        yield from _table(text, first)
        return
    text = _COMMENT.sub("", text)
    decoder, at = json.JSONDecoder(), 0
    while (at := _skip(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError as error:
            value, at = _python(text, at, error)
        yield from _flat(value)


def _skip(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] == ","):
        at += 1
    return at


def _python(text: str, at: int, error: ValueError) -> tuple[Any, int]:
    """Return the Python value of one line, or of the whole rest of the text."""
    for end in (text.find("\n", at), len(text)):
        try:
            if end > at:
                return ast.literal_eval(_TRAILING.sub(r"\1", text[at:end]).strip()), end
        except (ValueError, SyntaxError):
            continue
    number = text.count("\n", 0, at) + 1
    raise ValueError(f"line {number}: {error}") from None


def _flat(value: Any) -> Iterator[Record]:
    """Yield the records of a JSON value: an object, a list of them, or texts by name."""
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif not isinstance(value, dict):
        raise ValueError(f"{json.dumps(value)[:60]} is no object with a name and a text")
    elif len(value) == 1 and isinstance(items := next(iter(value.values())), list) and all(map(_is_object, items)):
        yield from _flat(items)
    elif value and all(isinstance(texts, list) for texts in value.values()):
        for name, texts in value.items():
            for number, text in enumerate(texts):
                yield {"output_name": f"{name}_{number}" if len(texts) > 1 else name, "input_text": text}
    else:
        yield value


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _table(text: str, first: str) -> Iterator[Record]:
    delimiter = _dialect(first)
    if delimiter:
        rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        yield from ({name: value for name, value in row.items() if name} for row in rows)
        return
    for number, line in enumerate(filter(str.strip, text.split("\n")), start=1):
        columns = [column.strip() for column in line.split("|")]
        if len(columns) not in (2, 4, 5):
            raise ValueError(f"line {number} has {len(columns)} columns separated by |, not 2 or 4")
        yield dict(zip(_META if len(columns) > 2 else (_META[0], _META[-1]), columns, strict=False))


def _dialect(first: str) -> str:
    """Return the delimiter of a table's header with known names; "" for another line."""
    for delimiter in (",", "\t", ";", "|"):
        columns = {column.strip().strip('"').lower() for column in first.split(delimiter)}
        if len(columns) > 1 and all(columns & {*_NAMES[name]} for name in ("output_name", "input_text")):
            return delimiter
    return ""


def task(record: Record, number: int) -> tuple[Record, set[str]]:
    """Return a record as a task and the fields without a place; `number` names a record without a name."""
    fields = {name.strip().lower(): value for name, value in record.items()}
    if isinstance(body := fields.pop("body", None), dict):
        fields = {"custom_id": fields.get("custom_id"), **{name: value for name, value in body.items() if name != "id"}}
    found: Record = {}
    used: set[str] = set()
    for ours, names in _NAMES.items():
        name = next((name for name in names if fields.get(name) not in (None, "")), None)
        if name:
            used.add(name)
            found[ours] = fields[name]
    found["output_name"] = _EXTENSION.sub("", str(found.get("output_name", f"{number:06}")))
    if isinstance(voice := found.get("voice"), dict):
        found["voice"] = voice.get("id")
    if isinstance(seed := found.get("seed"), str) and seed.lstrip("-").isdigit():
        found["seed"] = int(seed)
    return found, {name for name, value in fields.items() if value not in (None, "")} - used
