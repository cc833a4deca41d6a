from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, unknown


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_env({})
    assert (settings.port, settings.queue, settings.deadline_s, settings.max_chars) == (7860, 128, 100.0, 4096)
    assert (settings.voices / "examples" / "sample.wav").is_file()


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    wrong = {
        "TTS_ENGINE": "pipr",
        "TTS_DEVICE": "gpu",
        "TTS_QUEUE": "0",
        "TTS_DEADLINE_S": "soon",
        "TTS_GRACE_S": "nan",
        "TTS_VOICES": str(tmp_path / "none"),
        "RELEASE": "a\nb",
        "TTS_PUBLISHED": "everywhere",
        "TTS_PROXY": "proxy",
        "TTS_INSIDE": "127.0.0.1 colour",
        "TTS_LOG_FORMAT": "xml",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http:///v1",
        "TTS_STRICT": "maybe",
        "TTS_VOICE_NAMES": "alloy",
        "TTS_CORS_ORIGINS": "https://chat.example/path",
    }
    with pytest.raises(SettingsError) as error:
        Settings.from_env(wrong)
    assert len(error.value.problems) == len(wrong)
    assert "Did you mean 'piper'?" in str(error.value)
    for name in wrong:
        assert name in str(error.value)


def test_names_and_origins_are_lists_separated_by_spaces() -> None:
    values = {
        "TTS_VOICE_NAMES": "alloy=joe  nova=en=1",
        "TTS_MODEL_NAMES": "kokoro piper",
        "TTS_CORS_ORIGINS": "https://chat.example http://localhost:3000 app://obsidian.md",
        "TTS_STRICT": "1",
    }
    settings = Settings.from_env(values)
    assert settings.voice_names == {"alloy": "joe", "nova": "en=1"}
    assert settings.model_names == ("kokoro", "piper")
    assert settings.cors_origins == ("https://chat.example", "http://localhost:3000", "app://obsidian.md")
    assert settings.strict
    defaults = Settings.from_env({})
    assert (defaults.voice_names, defaults.cors_origins, defaults.strict) == ({}, (), False)
    assert defaults.model_names == ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    assert unknown({"TTS_QUEU": "3", "PATH": "x"}) == [
        "TTS_QUEU is not a setting and is ignored. Did you mean 'TTS_QUEUE'?"
    ]


def test_the_default_engine_is_vits_if_torch_is_installed(tmp_path: Path) -> None:
    (tmp_path / "torch.py").touch()
    code = "from service.settings import Settings; print(Settings.from_env({}).engine, 'torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:."}
    argv = [sys.executable, "-c", f"import sys; {code}"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "vits False\n"


def test_start_orders_are_optional_files(tmp_path: Path) -> None:
    settings = Settings.from_env({"TTS_ORDERS": str(tmp_path / "blue")})
    assert (settings.parked, settings.device) == (False, "")
    (tmp_path / "blue").mkdir()
    (tmp_path / "blue/park").touch()
    (tmp_path / "blue/device").write_text("GPU-1\n")
    assert (settings.parked, settings.device) == (True, "GPU-1")


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::", "203.0.113.5"])  # noqa: S104
def test_publishing_beyond_loopback_requires_keys(address: str) -> None:
    with pytest.raises(SettingsError, match="set TTS_API_KEYS to a key file"):
        Settings.from_env({"TTS_PUBLISHED": address})
    settings = Settings.from_env({"TTS_PUBLISHED": address, "TTS_API_KEYS": "/run/secrets/api-keys"})
    assert settings.api_keys == Path("/run/secrets/api-keys")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_publishing_on_loopback_requires_no_keys(address: str) -> None:
    assert Settings.from_env({"TTS_PUBLISHED": address}).api_keys is None


@pytest.mark.parametrize(
    ("base", "traces", "used"),
    [
        ("", "", ""),
        ("http://collector:4318", "", "http://collector:4318/v1/traces"),
        ("https://collector/otlp/", "", "https://collector/otlp/v1/traces"),
        ("http://collector:4318", "http://other:4318/own", "http://other:4318/own"),
    ],
)
def test_the_address_for_traces_follows_the_standard(base: str, traces: str, used: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": base, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces}
    assert Settings.from_env(environ).traces_endpoint == used
