"""Settings reach the service by variables that compose.yaml passes on and the service knows."""

from __future__ import annotations

import re
from pathlib import Path

from build import settings
from build.model import dotenv
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


def test_env_names_only_compose_yaml() -> None:
    values = dotenv.derive(
        project="p",
        place=settings.load(REPOSITORY, {}).place,
        proxy_image="x",
        images={},
        profiles=(),
        runtime="",
        hold_budget_s=7.5,
        speech={},
    )
    assert values["COMPOSE_FILE"] == "compose.yaml"
    assert values["HOLD_BUDGET_S"] == "7.5"
