"""A task: one checked line of JSON, with the field names of this project or of GLM-TTS."""

from __future__ import annotations

import codecs
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from service.fields import SEED, nearest, quote
from service.taskfile import names
from service.taskfile.lines import MAX_LINE

GLM_TTS = {"uttid": "output_name", "prompt_speech": "prompt_audio", "syn_text": "input_text"}
"""Field names of GLM-TTS, and ours."""

_TEXTS = ("output_name", "input_text", "prompt_audio", "prompt_text", "voice")
FIELDS = (*_TEXTS, "seed", "error")


class BadLineError(ValueError):
    """All problems of a line."""


class EncodingError(BadLineError):
    """A line is not UTF-8."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules for a line: the format of the clips, and the maximum characters of a text."""

    form: str = "wav"
    max_chars: int = 4096


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to synthesize. `output_name` has its extension; empty and None mean not given."""

    output_name: str
    input_text: str
    prompt_audio: str = ""
    prompt_text: str = ""
    voice: str = ""
    seed: int | None = None

    def present_fields(self) -> dict[str, Any]:
        """Return the fields that have a value."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    def identity(self, prompt: str) -> str:
        """Return 32 hex digits that change with anything audible; `prompt` is the hash of the prompt's bytes."""
        audible = self.present_fields() | {"prompt_audio": prompt}
        return hashlib.blake2b(json.dumps(audible, sort_keys=True).encode(), digest_size=16).hexdigest()


def parse(line: bytes | None, rules: Rules) -> Task:
    """Parse one line; raise BadLineError."""
    if line is None:
        raise BadLineError(f"has more than {MAX_LINE} bytes")
    if line.startswith(codecs.BOM_UTF8):
        raise BadLineError("begins with a byte order mark, as when files are joined: delete the mark")
    if not line.strip(b"\0\r\n"):
        raise BadLineError("has only zero bytes, as after a power failure: delete it, and check the lines before it")
    try:
        fields = _renamed(json.loads(line.decode(), object_pairs_hook=_unique_fields))
    except UnicodeDecodeError as error:
        raise EncodingError(f"is not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02x}") from None
    except BadLineError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadLineError(f"is not JSON: {reason}") from None
    return _checked(fields, rules)


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        duplicates = sorted({name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1})
        raise BadLineError(f"has {', '.join(map(quote, duplicates))} twice")
    return fields


def _renamed(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLineError("must be a JSON object")
    pairs: dict[str, Any] = value
    fields: dict[str, Any] = {}
    for name, content in pairs.items():
        ours = GLM_TTS.get(name, name)
        if ours in fields:
            raise BadLineError(f"has {ours} twice, once as {next(glm for glm in GLM_TTS if GLM_TTS[glm] == ours)}")
        fields[ours] = content
    return fields


def _checked(fields: dict[str, Any], rules: Rules) -> Task:
    problems = [_unknown_field(name) for name in fields if name not in FIELDS]
    texts: dict[str, str] = {}
    for name in _TEXTS:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            problems.append(f"{name} must be a text, not {quote(value)}")
        elif value and not _encodable(value):
            problems.append(f"{name} has half of a surrogate pair")
        else:
            texts[name] = value or ""
    seed = fields.get("seed")
    if seed is not None and (type(seed) is not int or not SEED[0] <= seed <= SEED[1]):
        problems.append(f"seed must be a whole number from {SEED[0]} to {SEED[1]}, not {quote(seed)}")
    problems += _contents(texts, rules)
    if problems:
        raise BadLineError("; ".join(problems))
    return Task(**texts, seed=seed)


def _contents(texts: dict[str, str], rules: Rules) -> list[str]:
    """Return the problems of valid strings; add the extension to output_name."""
    problems = []
    text, name = texts.get("input_text"), texts.get("output_name")
    if text is not None and not any(map(str.isalnum, text)):
        problems.append("input_text has no letter or digit" if text.strip() else "input_text is missing or empty")
    if text and len(text) > rules.max_chars:
        problems.append(f"input_text has {len(text)} characters, at most {rules.max_chars} are allowed")
    if texts.get("prompt_text") and texts.get("prompt_audio") == "":
        problems.append("prompt_text is given without prompt_audio")
    if name == "":
        problems.append("output_name is missing or empty")
    elif name:
        try:
            texts["output_name"] = names.file_name(name, rules.form)
        except ValueError as error:
            problems.append(f"output_name {quote(name)} {error}")
    return problems


def _unknown_field(name: str) -> str:
    return f"unknown field {quote(name)}.{nearest(name, [*FIELDS, *GLM_TTS])}"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
