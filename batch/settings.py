"""Settings of a run: command line over settings file over defaults, with all problems reported together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from batch import yamlfile
from batch.errors import SettingsError
from service.fields import nearest, quote
from service.formats import ClipFormat
from service.taskfile.tasks import FIELDS, GLM_TTS, Rules

KEY_NAME = "TTS_API_KEY"
_IN_FLIGHT = 4
_PATHS = ("tasks", "out", "api_key_file")


class Settings(BaseModel):
    """All settings; times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: Path
    endpoint: str
    out: Path
    in_flight: int | None = Field(None, ge=1, le=1000)
    in_flight_min: int = Field(1, ge=1, le=1000)
    in_flight_max: int = Field(16, ge=1, le=1000)
    shard_size: int = Field(10, ge=1, le=10_000)
    response_format: ClipFormat = "wav"
    voice: str = ""
    max_chars: int = Field(4096, ge=1, le=16_384)
    retries: int = Field(5, ge=0, le=100)
    timeout_s: float = Field(300, gt=0, le=86_400)
    patience_s: float = Field(600, ge=0, le=604_800)
    api_key_file: Path | None = None

    @field_validator("endpoint")
    @classmethod
    def _service(cls, value: str) -> str:
        """Return the root URL of the service, without the /v1 of OpenAI's clients."""
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as http://127.0.0.1:7860")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("must have no user, password, query or fragment; pass a key by --api-key-file")
        return value.rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def in_flight_first(self) -> int:
        """Initial number of requests in flight: the setting, or a few within the bounds."""
        return self.in_flight or max(self.in_flight_min, min(_IN_FLIGHT, self.in_flight_max))

    @property
    def rules(self) -> Rules:
        """Rules for the lines of the task file."""
        return Rules(self.response_format, self.max_chars)

    @property
    def clip_settings(self) -> dict[str, Any]:
        """Settings that are audible; all clips of one folder share them."""
        return {"response_format": self.response_format, "voice": self.voice}


def resolve(options: Mapping[str, Any], config: Path | None) -> Settings:
    """Return the settings in force; `options` has the options of the command line, None for an omitted one.

    Raises:
        SettingsError: with all problems.
    """
    try:
        values = read_config(config) if config else {}
    except ValueError as error:
        raise SettingsError(str(error), "see the settings in docs/guides/batch.md") from None
    from_file = set(values)
    values |= {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems = [_describe(problem["loc"], problem, from_file, config) for problem in error.errors()]
        raise SettingsError("; ".join(problems), "see the settings in docs/guides/batch.md") from None
    if not settings.in_flight_min <= settings.in_flight_first <= settings.in_flight_max:
        bounds = f"{settings.in_flight_min} to {settings.in_flight_max}"
        raise SettingsError(
            f"in_flight is {settings.in_flight_first}, outside its bounds {bounds}",
            "change in_flight, or widen in_flight_min and in_flight_max",
        )
    return settings


def _describe(where: tuple[int | str, ...], problem: Any, from_file: set[str], config: Path | None) -> str:
    name = str(where[0])
    source = f" (in {config})" if name in from_file else ""
    if problem["type"] == "missing":
        return f"{name} is missing: set it on the command line or in --config"
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {quote(name)}{source}.{nearest(name, list(Settings.model_fields))}"
    # An invalid URL may contain a password: do not print it.
    value = "" if name == "endpoint" else f" is {quote(str(problem['input']))}:"
    return f"{name}{value} {problem['msg'].removeprefix('Value error, ').lower()}{source}"


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings of a YAML file, or of a JSONL file with some on each line; raise ValueError.

    Paths in it are relative to it.
    """
    values = _json_lines(path) if path.suffix in (".jsonl", ".json") else yamlfile.load(path)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} must map names of settings to values")
    if "input_text" in values or "syn_text" in values:
        raise ValueError(f"{path} contains tasks, not settings: pass it as the argument TASKS, without --config")
    values = {name.replace("-", "_"): value for name, value in values.items()}
    return {
        name: path.parent / Path(value).expanduser() if name in _PATHS and isinstance(value, str) else value
        for name, value in values.items()
    }


def _json_lines(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    text = yamlfile.text(path)
    whole = _json(text)
    objects = [whole] if whole is not None else [_json(line) for line in text.splitlines() if line.strip()]
    for number, value in enumerate(objects, start=1):
        if not isinstance(value, dict):
            raise ValueError(f"{path} line {number} is not a JSON object")
        if value.keys() & {*FIELDS, *GLM_TTS} - {"voice"}:
            return value
        if duplicates := sorted(values.keys() & value.keys()):
            raise ValueError(f"{path} line {number} repeats {', '.join(duplicates)}")
        values |= value
    return values


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def api_key(path: Path | None, environ: Mapping[str, str]) -> str:
    """Return the key from its file, else from the environment, else "".

    Raise SettingsError, which never quotes the key.
    """
    if not path:
        key, where = environ.get(KEY_NAME, ""), KEY_NAME
    else:
        where = str(path)
        try:
            key = yamlfile.text(path)
        except ValueError as error:
            raise SettingsError(str(error), "choose a file that contains the key only") from None
        if not key.strip():
            raise SettingsError(f"{path} is empty", "choose a file that contains the key only")
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(
            f"the API key in {where} has spaces or non-ASCII characters", "it must contain the key only"
        )
    return key
