"""Settings of one clone, loaded once. Precedence: environment, .env, pyproject.toml, defaults."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from build.errors import MissingFileError, SettingsError
from build.model import dotenv
from build.model.colours import MOST_REPLICAS
from build.model.hook_points import FACTS, Point
from build.model.placement import LOOPBACK, StackAddress
from build.model.suggestion import did_you_mean
from build.settings_types import Folder, Hooks, HostAddress, NamePairs, Names, OpenUrl, Prefix, Shares, WebAddress

# The setting in each file that limits how long a stopping container or proxy connection may live.
STOP_LIMITS = {"compose.yaml": "stop_grace_period", "proxy/haproxy.cfg": "hard-stop-after"}

# Settings that Compose reads under its own names; every other variable is CUTOVER_<NAME>.
ENVIRONMENT_NAMES = {
    "project": "COMPOSE_PROJECT_NAME",
    "port": "PORT",
    "publish": "PUBLISH",
    "keys_folder": "KEYS_FOLDER",
    "subnet_prefix": "SUBNET_PREFIX",
}

_PER_CLIENT = (
    "per API key without its own limit or, without keys, per address; each container counts by itself; 0: unlimited"
)


class Settings(BaseModel):
    """All settings of a deployment. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    project: str = Field(
        "glm-tts", pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="Compose project; prefix of all names"
    )
    port: int = Field(7860, ge=1, le=65535, description="published port of the proxy")
    publish: HostAddress = Field(
        LOOPBACK, description="address of the target that the proxy listens on; beyond loopback it requires keys_folder"
    )
    keys_folder: Folder = Field("", description="folder on the target with the file api-keys; empty: no API keys")
    client_rpm: int = Field(0, ge=0, le=999_999_999, description=f"speech requests a minute {_PER_CLIENT}")
    client_cpm: int = Field(0, ge=0, le=999_999_999, description=f"characters a minute {_PER_CLIENT}")
    client_concurrent: int = Field(0, ge=0, le=999_999_999, description=f"concurrent requests {_PER_CLIENT}")
    voice_names: NamePairs = Field("", description="voices by the names that clients send: NAME=VOICE ...")
    model_names: Names = Field("", description="names that select the model; empty: OpenAI's names")
    strict: bool = Field(False, description="reject fields of a speech request that would be ignored or changed")
    cors_origins: Names = Field("", description="origins whose web pages may call the API; *: all; empty: none")
    subnet_prefix: Prefix = Field("172.29.118", description="first three octets of the stack's /24 network")
    flavour: Literal["slim", "cuda"] = Field("slim", description="base image: slim (CPU) or cuda (GPU)")
    device: Literal["", "cuda", "cpu"] = Field("", description="device of the engine; empty: the engine chooses")
    engine: Literal["", "piper", "vits", "glm_tts"] = Field("", description="speech engine; empty: by flavour")
    models: Folder = Field("", description="folder on the target with weights and voices, mounted at /models")
    glm_code: Folder = Field("", description="folder on the target with GLM-TTS's code, mounted at /opt/GLM-TTS")
    log_format: Literal["", "text", "json"] = Field("", description="log format of the service; empty: text")
    otlp_endpoint: OpenUrl = Field("", description="URL of an OpenTelemetry collector for traces; empty: no traces")
    trace_share: float = Field(1, ge=0, le=1, description="share of requests to trace, without a caller's decision")
    apt_snapshot: OpenUrl = Field(
        "", description="snapshot archive for the locked Debian or Ubuntu packages of a base; empty: the mirror"
    )
    free_gb: float | None = Field(None, ge=0, description="free disk (GB) that a build requires; default: by flavour")
    start_timeout_s: float = Field(600, gt=0, le=7200, description="time limit for the start of a candidate")
    stall_timeout_s: float = Field(60, gt=0, le=3600, description="time limit for a start without progress")
    drain_short_s: float = Field(
        30, gt=0, le=3600, description="drain time limit for short requests; the remaining ones are aborted"
    )
    drain_long_s: float = Field(120, gt=0, le=3600, description="drain time limit for long requests")
    drain_stream_s: float = Field(
        60, gt=0, le=3600, description="drain time limit for web tabs with a request; idle tabs move on at once"
    )
    drain_batch_s: float = Field(
        30,
        gt=0,
        le=3600,
        description="drain time limit for started batch items; queued ones get 503 with Retry-After at once",
    )
    hold_budget_s: float = Field(
        60, gt=0, le=120, description="longest time that the proxy holds a request; a running proxy keeps its value"
    )
    vram_timeout_s: float = Field(15, gt=0, le=600, description="time limit until released GPU memory is free")
    vram_margin_mb: float = Field(512, ge=0, description="GPU memory (MiB) that must stay free beside the release")
    gate_golden: str = Field(
        "joe", pattern=r"^[a-z0-9_-]{1,40}$", description="golden set of the gate: golden/NAME.yaml"
    )
    gate_syntheses: int = Field(6, ge=1, le=50, description="number of golden texts that a candidate must speak")
    gate_timeout_s: float = Field(60, gt=0, le=600, description="time limit for one golden text")
    replicas: int = Field(1, ge=1, le=MOST_REPLICAS, description="containers of a release, each with its own GPU")
    canary: Shares = Field((), description="shares of the traffic (percent) of a canary, in order; empty: no canary")
    canary_samples: int = Field(20, ge=2, le=10000, description="syntheses of each release before a canary verdict")
    canary_slower: float = Field(
        1.5, ge=1, le=100, description="longest synthesis time of a canary, as a multiple of the live release"
    )
    canary_timeout_s: float = Field(300, gt=0, le=86400, description="time limit for the verdict on one share")
    soak_s: float = Field(10, ge=0, le=86400, description="time after the switch in which the old colour can take over")
    standby: bool = Field(True, description="keep the old colour loaded, for a rollback within seconds")
    hooks: Hooks = Field(
        Hooks(), description="[tool.cutover.hooks]: commands for pre-switch, post-switch, on-rollback, on-alert"
    )
    hook_timeout_s: float = Field(60, gt=0, le=3600, description="time limit for one hook")
    alert_webhook: WebAddress = Field(SecretStr(""), description="URL that receives alerts as JSON")
    alertmanager: WebAddress = Field(
        SecretStr(""), description="URL of an Alertmanager, which gets alerts and their resolution"
    )
    keep_releases: int = Field(5, ge=0, le=1000, description="newest verified releases that the janitor keeps")
    min_free_gb: float = Field(20, ge=0, description="free disk (GB) below which the janitor removes images")
    build_cache_gb: float = Field(10, ge=0, description="build cache (GB) that the janitor keeps")
    keep_logs_days: float = Field(
        30, ge=0, le=3650, description="age (days) from which the janitor removes build records"
    )
    base_max_age_days: float = Field(
        30, ge=0, le=3650, description="age (days) of an image's OS packages from which commands warn"
    )

    @property
    def golden(self) -> Path:
        """Path of the golden set, which is written by hand."""
        return self.root / "golden" / f"{self.gate_golden}.yaml"

    def container(self, service: str) -> str:
        """Return the name that Compose gives to a service's only container."""
        return f"{self.project}-{service}-1"

    @property
    def speech(self) -> dict[str, str]:
        """Variables that compose.yaml passes to the service; empty values leave the choice to the service."""
        return {
            "TTS_DEVICE": self.device,
            "TTS_ENGINE": self.engine,
            "MODELS": self.models,
            "GLM_CODE": self.glm_code,
            "TTS_LOG_FORMAT": self.log_format,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_endpoint,
            "OTEL_TRACES_SAMPLER_ARG": f"{self.trace_share:g}" if self.otlp_endpoint else "",
            "TTS_CLIENT_RPM": str(self.client_rpm or ""),
            "TTS_CLIENT_CPM": str(self.client_cpm or ""),
            "TTS_CLIENT_CONCURRENT": str(self.client_concurrent or ""),
            "TTS_VOICE_NAMES": self.voice_names,
            "TTS_MODEL_NAMES": self.model_names,
            "TTS_STRICT": "1" if self.strict else "",
            "TTS_CORS_ORIGINS": self.cors_origins,
        }

    @property
    def drain_budgets(self) -> dict[str, float]:
        """Drain time limits (seconds) by the service's request classes."""
        return {
            "short": self.drain_short_s,
            "long": self.drain_long_s,
            "stream": self.drain_stream_s,
            "batch": self.drain_batch_s,
        }

    @property
    def place(self) -> StackAddress:
        return StackAddress(self.port, self.subnet_prefix, self.publish, self.keys_folder)

    @property
    def subnet(self) -> str:
        return f"{self.subnet_prefix}.0/24"

    @property
    def url(self) -> str:
        """URL of the service for clients on this host."""
        anywhere = ipaddress.IPv4Address(self.publish).is_unspecified
        return f"http://{LOOPBACK if anywhere else self.publish}:{self.port}"


def environment_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    return ENVIRONMENT_NAMES.get(field, f"CUTOVER_{field.upper()}")


def load(root: Path, environ: Mapping[str, str]) -> Settings:
    """Load the settings of the clone at `root`.

    Raises:
        MissingFileError: `root` has no pyproject.toml.
        SettingsError: one message lists every invalid value with its origin and the nearest valid name.
    """
    fields = [name for name in Settings.model_fields if name != "root"]
    table = _table(root)
    unknown = [
        f"[tool.cutover] {name}: unknown setting{did_you_mean(name, fields)}" for name in table if name not in fields
    ] + [
        f"{name}: unknown setting{did_you_mean(name, [environment_name(field) for field in fields])}"
        for name in environ
        if name.startswith("CUTOVER_") and name not in FACTS and name not in map(environment_name, fields)
    ]
    values, origins = _layers(fields, table, _dotenv(root), environ)
    try:
        settings = Settings(root=root, **values)
    except ValidationError as error:
        wrong = [_describe(origins[str(item["loc"][0])], item) for item in error.errors()]
    else:
        wrong = _drains_beyond_stop(settings, origins) + _public_without_keys(settings, origins)
        if not unknown + wrong:
            return settings
    raise SettingsError(
        "invalid settings:\n  " + "\n  ".join(unknown + wrong),
        remedy="correct them; docs/reference/settings.md lists every setting with its bounds",
    )


def _describe(origin: str, item: ErrorDetails) -> str:
    field, *within = map(str, item["loc"])
    if field == "hooks" and item["type"] == "extra_forbidden":
        return f"[tool.cutover.hooks] {within[0]}: unknown hook{did_you_mean(within[0], list(Point))}"
    where = " ".join([origin, *within])
    shown = "" if Settings.model_fields[field].annotation is SecretStr else f", not {item['input']!r}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{shown}"


def _drains_beyond_stop(settings: Settings, origins: Mapping[str, str]) -> list[str]:
    """Describe each drain time limit that exceeds a stop limit of the stack: a stop would abort those requests."""
    wrong = []
    for file, name in STOP_LIMITS.items():
        path = settings.root / file
        most_s = stop_limit_s(path.read_text(), name) if path.exists() else None
        for kind, budget_s in settings.drain_budgets.items():
            if most_s is not None and budget_s > most_s:
                field = f"drain_{kind}_s"
                origin = origins.get(field, f"[tool.cutover] {field}")
                wrong.append(
                    f"{origin}: {budget_s:g} s is longer than a stop may take, {most_s:g} s ({name} in {file}); "
                    f"lower {field}, or raise {name}"
                )
    return wrong


def _public_without_keys(settings: Settings, origins: Mapping[str, str]) -> list[str]:
    if settings.keys_folder or ipaddress.IPv4Address(settings.publish).is_loopback:
        return []
    return [
        f"{origins['publish']}: publishing on {settings.publish} without API keys lets anyone use the service; "
        f"set keys_folder (KEYS_FOLDER), or publish on {LOOPBACK}"
    ]


def _table(root: Path) -> dict[str, Any]:
    path = root / "pyproject.toml"
    if not path.exists():
        raise MissingFileError(f"{path} does not exist", remedy="run this command from the root of the clone")
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    table: dict[str, Any] = document.get("tool", {}).get("cutover", {})
    return table


def _dotenv(root: Path) -> dict[str, str]:
    path = root / ".env"
    try:
        return dotenv.parse(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise SettingsError(f"{path}: {error}", remedy=f"rm {path}; the next cutover command writes it again") from None


def _layers(
    fields: list[str], table: Mapping[str, Any], stored: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the winning value of each field that is set, and a description of its origin."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for field in fields:
        name = environment_name(field)
        candidates = (
            (f"[tool.cutover] {field}", table.get(field)),
            (f"{name} in .env", stored.get(name) if field in ENVIRONMENT_NAMES else None),
            (f"{name} in the environment", _variable(environ, name, field)),
        )
        for origin, value in candidates:
            if value is not None:
                values[field], origins[field] = value, origin
    return values, origins


def _variable(environ: Mapping[str, str], name: str, field: str) -> str | None:
    """Return a variable's value; an empty one counts as unset, unless "" is the default and may override .env."""
    value = environ.get(name)
    return value if value or Settings.model_fields[field].default == "" else None


def stop_limit_s(text: str, name: str) -> float | None:
    """Return the shortest time (seconds) set under `name`, as in `stop_grace_period: 150s`; None when unset."""
    found = re.findall(rf"^\s*{name}:?[ \t]+(?:(\d+)m)?(?:(\d+)s)?[ \t]*$", text, re.MULTILINE)
    times = [60 * int(minutes or 0) + int(seconds or 0) for minutes, seconds in found if minutes or seconds]
    return float(min(times)) if times else None
