"""Settings: resolved once from the environment, at the edge, with every problem reported together.

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

from service.engine_names import ENGINES, default
from service.fields import nearest

_VOICES = str(Path(__file__).parents[1] / "voices")
_CONTROL = "/run/service/control.sock"
_ORDERS = "/run/orders"
_GLM_PACKAGES = "/models/env/lib/python3.11/site-packages"
_PROCESSORS = ("cuda", "cpu")
_GLM_RATES = ("24000", "32000")


class SettingsError(Exception):
    """One or more settings are wrong; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _release(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", value):
        raise ValueError("must be 1 to 128 of the characters A-Z a-z 0-9 . _ -, since it is sent as a header")
    return value


def _engine(value: str) -> str:
    if value not in ENGINES:
        raise ValueError(f"no such engine; there is {', '.join(ENGINES)}.{nearest(value, list(ENGINES))}")
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
    """Absolute: an engine may change the working directory later."""
    return Path(value).absolute()


def _path_or_none(value: str) -> Path | None:
    return _path(value) if value else None


def _glm_rate(value: str) -> int:
    if value not in _GLM_RATES:
        raise ValueError(f"must be {' or '.join(_GLM_RATES)} (Hz)")
    return int(value)


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


def _option(env: str, default: str, parse: Callable[[str], Any] = str) -> Any:
    """A setting: its environment name, its default as it would be written there, and its parser."""
    return field(metadata={"env": env, "default": default, "parse": parse})


@dataclass(frozen=True)
class Limits:
    """Requests per minute, characters per minute, requests at a time; 0 for no limit."""

    requests: int = 0
    characters: int = 0
    concurrent: int = 0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times in seconds."""

    release: str = _option("RELEASE", "unreleased", _release)
    engine: str = _option("TTS_ENGINE", default(), _engine)
    processor: str = _option("TTS_DEVICE", "", _processor)  # "": the engine's own; none takes another by itself
    host: str = _option("TTS_HOST", "0.0.0.0")  # noqa: S104 - a container's own address; what is published is the proxy
    port: int = _option("TTS_PORT", "7860", _integer(0, 65535))
    queue: int = _option("TTS_QUEUE", "128", _integer(1, 100_000))
    deadline_s: float = _option("TTS_DEADLINE_S", "100", _seconds(0.1, 3600))
    max_chars: int = _option("TTS_MAX_CHARS", "4096", _integer(1, 1_000_000))
    concurrency: int = _option("TTS_CONCURRENCY", "0", _integer(0, 256))
    long_bytes: int = _option("TTS_LONG_BYTES", "400", _integer(0, 1_000_000))  # as HOLD_LONG_BYTES of the proxy
    voices: Path = _option("TTS_VOICES", _VOICES, _folder)  # noqa: RUF009 - a field(), like the others
    control: Path = _option("TTS_CONTROL", _CONTROL, _path)  # noqa: RUF009 - a field(), like the others
    grace_s: float = _option("TTS_GRACE_S", "110", _seconds(0.1, 3600))
    orders: Path = _option("TTS_ORDERS", _ORDERS, _path)  # noqa: RUF009 - a field(), like the others
    published: str = _option("TTS_PUBLISHED", "127.0.0.1", _address)  # where the proxy listens, for whoever asks it
    api_keys: Path | None = _option("TTS_API_KEYS", "", _path_or_none)  # noqa: RUF009 - a field(), like the others
    proxy: str = _option("TTS_PROXY", "", _address)  # it alone says truly for whom it asks
    inside: frozenset[str] = _option("TTS_INSIDE", "", _addresses)  # who needs no key: own probes, the gate
    client_rpm: int = _option("TTS_CLIENT_RPM", "0", _integer(0, 999_999_999))
    client_cpm: int = _option("TTS_CLIENT_CPM", "0", _integer(0, 999_999_999))
    client_concurrent: int = _option("TTS_CLIENT_CONCURRENT", "0", _integer(0, 999_999_999))
    piper_voices: Path | None = _option("TTS_PIPER_VOICES", "", _folder_or_none)  # noqa: RUF009 - as above
    glm_code: Path = _option("TTS_GLM_CODE", "/opt/GLM-TTS", _path)  # noqa: RUF009 - a field(), like the others
    glm_weights: Path = _option("TTS_GLM_WEIGHTS", "/models/GLM-TTS", _path)  # noqa: RUF009 - as above
    glm_voices: Path = _option("TTS_GLM_VOICES", "/models/voices/voices.jsonl", _path)  # noqa: RUF009 - as above
    glm_packages: Path = _option("TTS_GLM_PACKAGES", _GLM_PACKAGES, _path)  # noqa: RUF009 - as above
    glm_sample_rate: int = _option("TTS_GLM_SAMPLE_RATE", "24000", _glm_rate)

    @property
    def client_limits(self) -> Limits:
        """What each client may ask for, where its key says nothing else."""
        return Limits(self.client_rpm, self.client_cpm, self.client_concurrent)

    @property
    def parked(self) -> bool:
        """Is this process to start without its model? Ordered by a file, so that the next start is another matter."""
        return (self.orders / "park").exists()

    @property
    def device(self) -> str:
        """The GPU (its UUID) that this process is to use; empty for whatever CUDA takes."""
        try:
            return (self.orders / "device").read_text().strip()
        except OSError:
            return ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; raise SettingsError with every problem at once."""
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
                f"TTS_PUBLISHED={published}: anyone who reaches this address could speak; name a file of API keys in "
                "TTS_API_KEYS (`python -m service.keys new NAME` makes a key), or publish on 127.0.0.1"
            )
        if problems:
            raise SettingsError(problems)
        return cls(**values)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """A line for each TTS_ name that is no setting: a warning, not an error.

    An older release must still start with a newer one's environment, or there is no way back to it.
    """
    known = [option.metadata["env"] for option in fields(Settings)]
    strangers = sorted(name for name in environ if name.startswith("TTS_") and name not in known)
    return [f"{name} is not a setting and is ignored.{nearest(name, known)}" for name in strangers]
