"""docs/operations names a remedy for every exit code of a command and for every error of the API."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from build import errors
from build.errors import OrchestratorError
from service import errors as api
from service.errors import ServiceError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/operations"
TROUBLESHOOTING = (FOLDER / "troubleshooting.md").read_text()
RUNBOOK = (FOLDER / "runbook.md").read_text()


def test_every_exit_code_of_a_command_has_a_remedy() -> None:
    named = {int(code) for text in (TROUBLESHOOTING, RUNBOOK) for code in re.findall(r"[Cc]ode (\d+)", text)}
    named |= {int(code) for code in re.findall(r"code \d+ or (\d+)", TROUBLESHOOTING)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OrchestratorError)]
    assert {kind.exit_code for kind in kinds} - named == set()


def test_every_error_code_of_the_api_has_a_remedy() -> None:
    kinds = [kind for kind in vars(api).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
    proxy = re.findall(r'"code"\s*:\s*"(\w+)"', "".join((ROOT / "proxy" / name).read_text() for name in PROXY))
    codes = {kind.code for kind in kinds} | literals() | set(proxy)
    assert {code for code in codes if f"`{code}`" not in TROUBLESHOOTING} == set()
    assert {"held_too_long", "engine_failed", "draining"} <= codes, "the search finds each kind of place"


PROXY = ("haproxy.cfg", "hold.lua")


def literals() -> set[str]:
    """Every literal code of an error that the service raises."""
    calls = [
        node
        for file in (ROOT / "service").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
    ]
    values = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "code"]
    values += [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "refuse"]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
