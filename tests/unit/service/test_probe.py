from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from service import health as health_check
from service.audio.encoding import encode
from service.health import ProbeError, check_wav, fetch_speech
from service.settings import Settings

RATE = 22050


def health(settings: Settings) -> str:
    return health_check.health(str(settings.control), settings.port)


def wav(seconds: float, level: int = 9000) -> bytes:
    return encode([np.full(int(seconds * RATE), level, np.int16)], RATE, "wav")


def test_plausible_speech_is_accepted() -> None:
    assert check_wav(wav(0.6)) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "not a WAV"), (b"x" * 100, "not a WAV"), (wav(0), "0.00 s"), (wav(0.1), "0.10 s"), (wav(9), "9.00 s"),
     (wav(0.6, level=20), "silent")],
)  # fmt: skip
def test_implausible_speech_is_rejected(content: bytes, why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        check_wav(content)


def set_status(monkeypatch: pytest.MonkeyPatch, **status: Any) -> None:
    monkeypatch.setattr(health_check, "send_command", lambda *_: {"error": None, "last_inference_age_s": None} | status)


def test_a_recent_success_is_evidence(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    set_status(monkeypatch, phase="ready", last_inference_age_s=12.0)
    assert "12.0 s ago" in health(settings)


@pytest.mark.parametrize("age", [None, 61.0])
def test_without_evidence_the_probe_synthesizes(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, age: float | None
) -> None:
    set_status(monkeypatch, phase="ready", last_inference_age_s=age)
    monkeypatch.setattr(health_check, "fetch_speech", lambda *_: wav(0.5))
    assert health(settings) == "ready, spoke 0.50 s"


@pytest.mark.parametrize("phase", ["starting", "loading", "warming", "failed"])
def test_starting_and_failed_phases_are_unhealthy(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, phase: str
) -> None:
    set_status(monkeypatch, phase=phase, error="no model")
    with pytest.raises(ProbeError, match=f"phase {phase}: no model"):
        health(settings)


@pytest.mark.parametrize("phase", ["draining", "unloaded"])
def test_requested_phases_are_healthy(monkeypatch: pytest.MonkeyPatch, settings: Settings, phase: str) -> None:
    set_status(monkeypatch, phase=phase)
    assert phase in health(settings)


def test_a_missing_service_is_unhealthy(settings: Settings) -> None:
    with pytest.raises(ProbeError, match="control socket does not answer"):
        health(settings)
    with pytest.raises(ProbeError, match="no speech from port 1"):
        fetch_speech(1, "x", None, 1.0)


def test_only_the_standard_library_is_imported() -> None:
    code = "import sys, json, service.probe; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = set(
        json.loads(
            subprocess.check_output([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"])
        )
    )
    # The Python of a system may have a sitecustomize.
    assert loaded <= set(sys.stdlib_module_names) | {"service", "__main__", "sitecustomize"}


def test_the_health_check_imports_neither_packages_nor_settings() -> None:
    code = "import sys; before = set(sys.modules); from service import health; print(*sys.modules.keys() - before)"
    loaded = subprocess.check_output([sys.executable, "-S", "-c", code], text=True).split()
    assert {name for name in loaded if name.startswith("service")} == {
        "service", "service.health", "service.control", "service.control.protocol",
    }  # fmt: skip
    assert not {"argparse", "asyncio", "dataclasses", "http.client", "pathlib"} & set(loaded)


def test_the_health_check_uses_the_defaults_of_the_settings() -> None:
    settings = Settings.from_env({})
    assert (str(settings.control), settings.port) == (health_check.CONTROL, health_check.PORT)
