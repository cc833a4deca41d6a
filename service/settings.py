"""Settings, read once from the environment, with all problems reported together.

Standard library only: the probe and the control client read them too, and must start fast.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from service import openai_names, setting_values
from service.engine_names import ENGINES, default
from service.fields import nearest

_VOICES = str(Path(__file__).parents[1] / "voices")
_CONTROL = "/run/service/control.sock"
_ORDERS = "/run/orders"
_GLM_PACKAGES = "/models/env/lib/python3.11/site-packages"
_PROCESSORS = ("cuda", "cpu")


class SettingsError(Exception):
    """One or more settings are invalid; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _engine(value: str) -> str:
    if value not in ENGINES:
        raise ValueError(f"must be one of {', '.join(ENGINES)}.{nearest(value, list(ENGINES))}")
    return value


def _processor(value: str) -> str:
    if value and value not in _PROCESSORS:
        raise ValueError(f"must be {' or '.join(_PROCESSORS)}.{nearest(value, list(_PROCESSORS))}")
    return value


def _folder(value: str) -> Path:
    if not Path(value).is_dir():
        raise ValueError("is not a folder")
    return Path(value).resolve()


def _folder_or_none(value: str) -> Path | None:
    return _folder(value) if value else None


def _address(value: str) -> str:
    try:
        return str(ip_address(value)) if value else ""
    except ValueError:
        raise ValueError("must be an IP address") from None


def _addresses(value: str) -> frozenset[str]:
    return frozenset(map(_address, value.split()))


def _path(value: str) -> Path:
    """Return an absolute path, because an engine may change the working directory later."""
    return Path(value).absolute()


def _path_or_none(value: str) -> Path | None:
    return _path(value) if value else None


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return number

    return parse


def _option(env: str, default: str, meaning: str, parse: Callable[[str], Any] = str) -> Any:
    """Declare a setting: its environment variable, its default as text, its meaning and its parser."""
    return field(metadata={"env": env, "default": default, "meaning": meaning, "parse": parse})


@dataclass(frozen=True)
class Limits:
    """Limits of a client: requests per minute, characters per minute, concurrent requests; 0: no limit."""

    requests: int = 0
    characters: int = 0
    concurrent: int = 0


@dataclass(frozen=True)
class Settings:
    """All settings; times in seconds."""

    release: str = _option(
        "RELEASE", "unreleased", "name of the release; the service sends it as `X-Release`", setting_values.release
    )
    engine: str = _option(
        "TTS_ENGINE", default(), "engine: piper, vits or glm_tts; the default depends on the flavour", _engine
    )
    processor: str = _option(
        "TTS_DEVICE",
        "",
        "processor of the engine: cuda or cpu; empty: the engine's default; there is no fallback",
        _processor,
    )
    host: str = _option("TTS_HOST", "0.0.0.0", "address that the service listens on in its container")  # noqa: S104
    port: int = _option("TTS_PORT", "7860", "port that the service listens on in its container", _integer(0, 65535))
    queue: int = _option(
        "TTS_QUEUE", "128", "maximum number of waiting syntheses; one more gets 429", _integer(1, 100_000)
    )
    deadline_s: float = _option(
        "TTS_DEADLINE_S",
        "100",
        "deadline of a synthesis (seconds), longer for long texts of a slow engine: a text that would miss it gets "
        "429; also the longest time of one inference, then 504",
        _seconds(0.1, 3600),
    )
    max_chars: int = _option("TTS_MAX_CHARS", "4096", "longest text of a request (characters)", _integer(1, 1_000_000))
    strict: bool = _option(
        "TTS_STRICT",
        "0",
        "1: reject fields of a request that would be ignored or changed; a request may choose",
        setting_values.flag,
    )
    voice_names: dict[str, str] = _option(
        "TTS_VOICE_NAMES",
        "",
        "voices by the names that clients send, as NAME=VOICE separated by spaces; names of OpenAI's voices that are "
        "not listed select the first voice",
        setting_values.pairs,
    )
    model_names: tuple[str, ...] = _option(
        "TTS_MODEL_NAMES",
        " ".join(openai_names.MODELS),
        "names, separated by spaces, that select the model beside its own; also with a date: tts-1-1106",
        setting_values.words,
    )
    cors_origins: tuple[str, ...] = _option(
        "TTS_CORS_ORIGINS",
        "",
        "origins, separated by spaces, whose pages may call the API (CORS); *: all; empty: none",
        setting_values.origins,
    )
    concurrency: int = _option("TTS_CONCURRENCY", "0", "parallel inferences; 0: the engine's default", _integer(0, 256))
    long_bytes: int = _option(
        "TTS_LONG_BYTES",
        "400",
        "size of a request body (bytes) above which its class is long, as HOLD_LONG_BYTES of the proxy",
        _integer(0, 1_000_000),
    )
    voices: Path = _option("TTS_VOICES", _VOICES, "folder of the example recordings", _folder)
    control: Path = _option("TTS_CONTROL", _CONTROL, "control socket", _path)
    grace_s: float = _option(
        "TTS_GRACE_S", "110", "longest time (seconds) that a stop waits for requests in flight", _seconds(0.1, 3600)
    )
    orders: Path = _option(
        "TTS_ORDERS",
        _ORDERS,
        "folder of the slot's start flags (park, device) and of the agent's orders (command)",
        _path,
    )
    published: str = _option(
        "TTS_PUBLISHED",
        "127.0.0.1",
        "address that the proxy publishes on; beyond loopback TTS_API_KEYS is required",
        _address,
    )
    api_keys: Path | None = _option("TTS_API_KEYS", "", "file of API keys; empty: no keys", _path_or_none)
    proxy: str = _option("TTS_PROXY", "", "address of the proxy, whose `X-Forwarded-For` is trusted", _address)
    inside: frozenset[str] = _option(
        "TTS_INSIDE", "", "addresses, separated by spaces, that need no key: the gate and canary requests", _addresses
    )
    client_rpm: int = _option(
        "TTS_CLIENT_RPM",
        "0",
        "requests per minute to this container of a client whose key sets no limit; 0: no limit",
        _integer(0, 999_999_999),
    )
    client_cpm: int = _option(
        "TTS_CLIENT_CPM", "0", "characters per minute of such a client; 0: no limit", _integer(0, 999_999_999)
    )
    client_concurrent: int = _option(
        "TTS_CLIENT_CONCURRENT", "0", "concurrent requests of such a client; 0: no limit", _integer(0, 999_999_999)
    )
    piper_voices: Path | None = _option(
        "TTS_PIPER_VOICES",
        "",
        "folder of Piper voices (`NAME.onnx` and `NAME.onnx.json`); empty: /models/piper. No files: the embedded voice",
        _folder_or_none,
    )
    log_format: str = _option(
        "TTS_LOG_FORMAT", "text", "format of the log on stderr: text or json", setting_values.log_format
    )
    otlp_endpoint: str = _option(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "URL of an OpenTelemetry collector (OTLP over HTTP), which gets traces at /v1/traces; empty: no traces",
        setting_values.web_address,
    )
    otlp_traces_endpoint: str = _option(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "",
        "whole URL for traces, instead of the one above; empty: that one",
        setting_values.web_address,
    )
    glm_code: Path = _option("TTS_GLM_CODE", "/opt/GLM-TTS", "folder of GLM-TTS's code", _path)
    glm_weights: Path = _option("TTS_GLM_WEIGHTS", "/models/GLM-TTS", "folder of GLM-TTS's weights", _path)
    glm_voices: Path = _option(
        "TTS_GLM_VOICES", "/models/voices/voices.jsonl", "file of GLM-TTS's voices, one JSON object per line", _path
    )
    glm_packages: Path = _option("TTS_GLM_PACKAGES", _GLM_PACKAGES, "folder of the Python packages of GLM-TTS", _path)
    glm_sample_rate: int = _option(
        "TTS_GLM_SAMPLE_RATE", "24000", "sample rate (Hz) of GLM-TTS: 24000 or 32000", setting_values.glm_rate
    )

    @property
    def client_limits(self) -> Limits:
        """Limits of each client whose key sets none."""
        return Limits(self.client_rpm, self.client_cpm, self.client_concurrent)

    @property
    def traces_endpoint(self) -> str:
        """URL that gets the traces; empty: no traces."""
        base = self.otlp_endpoint.removesuffix("/")
        return self.otlp_traces_endpoint or (f"{base}/v1/traces" if base else "")

    @property
    def parked(self) -> bool:
        """Whether to start without the model; a file orders it, so that it can differ at the next start."""
        return (self.orders / "park").exists()

    @property
    def device(self) -> str:
        """UUID of the GPU to use; "" for CUDA's default."""
        try:
            return (self.orders / "device").read_text().strip()
        except OSError:
            return ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; raise SettingsError with all problems."""
        values, problems = {}, []
        for option in fields(cls):
            name = option.metadata["env"]
            raw = environ.get(name) or option.metadata["default"]
            try:
                values[option.name] = option.metadata["parse"](raw)
            except ValueError as error:
                problems.append(f"{name}={raw}: {error}")
        published = values.get("published")
        if published and not ip_address(published).is_loopback and not values.get("api_keys"):
            problems.append(
                f"TTS_PUBLISHED={published}: publishing on this address without API keys lets anyone use the service; "
                "set TTS_API_KEYS to a key file (create a key with `python -m service.keys new NAME`), or publish on "
                "127.0.0.1"
            )
        if problems:
            raise SettingsError(problems)
        return cls(**values)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each TTS_ variable that is no setting, as a warning.

    It is no error: a rollback starts an older release with the environment of a newer one.
    """
    known = [option.metadata["env"] for option in fields(Settings)]
    names = sorted(name for name in environ if name.startswith("TTS_") and name not in known)
    return [f"{name} is not a setting and is ignored.{nearest(name, known)}" for name in names]
