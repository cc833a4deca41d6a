"""Settings reach the service by variables that compose.yaml passes on and the service knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build import settings
from build.errors import SettingsError
from build.model import dotenv
from build.model.colours import Colour
from service.settings import Limits, unknown
from service.settings import Settings as ServiceSettings

REPOSITORY = Path(__file__).resolve().parents[3]


def speech(tmp_path: Path, **environ: str) -> dict[str, str]:
    (tmp_path / "pyproject.toml").write_text("")
    return settings.load(tmp_path, environ).speech


def test_every_variable_reaches_the_service(tmp_path: Path) -> None:
    compose = (REPOSITORY / "compose.yaml").read_text()
    for name in speech(tmp_path):
        assert re.search(rf"\$\{{{name}:-", compose), f"compose.yaml does not use {name}"
        if name.startswith("TTS_"):
            assert f"  {name}: ${{{name}:-}}\n" in compose
            assert unknown({name: ""}) == []


def test_the_limits_of_a_client_reach_the_service(tmp_path: Path) -> None:
    environ = {"CUTOVER_CLIENT_RPM": "30", "CUTOVER_CLIENT_CPM": "9000", "CUTOVER_CLIENT_CONCURRENT": "2"}
    assert ServiceSettings.from_env(speech(tmp_path, **environ)).client_limits == Limits(30, 9000, 2)
    assert ServiceSettings.from_env(speech(tmp_path)).client_limits == Limits()


def test_logs_and_traces_reach_the_service(tmp_path: Path) -> None:
    environ = {"CUTOVER_LOG_FORMAT": "json", "CUTOVER_OTLP_ENDPOINT": "http://collector:4318"}
    passed = speech(tmp_path, **environ, CUTOVER_TRACE_SHARE="0.05")
    reached = ServiceSettings.from_env(passed)
    assert (reached.log_format, reached.traces_endpoint) == ("json", "http://collector:4318/v1/traces")
    assert passed["OTEL_TRACES_SAMPLER_ARG"] == "0.05"
    default = ServiceSettings.from_env(speech(tmp_path))
    assert (default.log_format, default.traces_endpoint) == ("text", "")


@pytest.mark.parametrize("url", ["collector:4318", "http://user:secret@collector:4318", "http://a b"])
def test_the_address_of_a_collector_is_open_to_all(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="CUTOVER_OTLP_ENDPOINT"):
        speech(tmp_path, CUTOVER_OTLP_ENDPOINT=url)


def test_names_strictness_and_origins_reach_the_service(tmp_path: Path) -> None:
    environ = {
        "CUTOVER_VOICE_NAMES": "alloy=joe  nova=anna",
        "CUTOVER_MODEL_NAMES": "kokoro",
        "CUTOVER_STRICT": "true",
        "CUTOVER_CORS_ORIGINS": "https://chat.example *",
    }
    found = ServiceSettings.from_env(speech(tmp_path, **environ))
    assert found.voice_names == {"alloy": "joe", "nova": "anna"}
    assert (found.model_names, found.strict) == (("kokoro",), True)
    assert found.cors_origins == ("https://chat.example", "*")
    assert not ServiceSettings.from_env(speech(tmp_path)).strict


@pytest.mark.parametrize(
    ("name", "value"),
    [("VOICE_NAMES", "alloy"), ("VOICE_NAMES", "alloy= joe"), ("MODEL_NAMES", "$HOME"), ("CORS_ORIGINS", "a\nB=1")],
)
def test_a_list_of_names_must_fit_into_a_line_of_env(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CUTOVER_{name} in the environment: must be"):
        speech(tmp_path, **{f"CUTOVER_{name}": value})


def test_compose_yaml_alone_starts_nothing() -> None:
    """compose.yaml is a template: with the variables of .env alone it has no image for either colour."""
    values = dotenv.derive(
        file="compose.yaml",
        project="p",
        place=settings.load(REPOSITORY, {}).place,
        proxy_image="x",
        images=dict.fromkeys(Colour, "sha256:1"),
        profiles=["blue"],
        hold_budget_s=7.5,
    )
    assert values["HOLD_BUDGET_S"] == "7.5"
    required = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "compose.yaml").read_text()))
    assert required - values.keys() == {"LINE_BLUE_IMAGE", "LINE_GREEN_IMAGE"}
    assert required <= dotenv.template_variables(values, {}, "", {}).keys()
