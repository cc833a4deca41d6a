"""docs/operations/runbook.md has a section for every alert, and each section says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from batch import errors as batch_errors
from build import errors
from build.errors import OrchestratorError, PreflightError
from build.notify.alert import NAME, QUIET, Alert, evaluate

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs/operations/runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S))
CODE = re.compile(r"Code (\d+): .+")
# Modules that name errors for other commands: their errors end a command before it acquires the cutover lock.
BEFORE_THE_LOCK = {"build.errors", "build.settings", "build.host.findings"}


def modules_of_a_cutover() -> set[str]:
    """Every module that a cutover imports, directly or not, at any time."""
    found, pending = set[str](), ["build.cutover.cutover", "build.cutover.executor"]
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending += imports(module)
    return found


def path(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(path(module).read_text())


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("build."):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in names if path(name).exists())
        elif isinstance(node, ast.ImportFrom) and node.module == "build":
            yield from (f"build.{alias.name}" for alias in node.names if path(f"build.{alias.name}").exists())


def errors_of_a_cutover() -> set[type[OrchestratorError]]:
    """Every error that a module of a cutover names, and the default one of its preflight."""
    known = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    modules = modules_of_a_cutover() - BEFORE_THE_LOCK
    names = {node.id for module in modules for node in ast.walk(tree(module)) if isinstance(node, ast.Name)}
    found = {kind for name, kind in known.items() if name in names and issubclass(kind, OrchestratorError)}
    return (found | {PreflightError}) - {OrchestratorError, *QUIET}


def sections_by_code() -> dict[int, str]:
    return {int(found[1]): text for title, text in SECTIONS.items() if (found := CODE.fullmatch(title))}


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    unexpected = OrchestratorError.exit_code
    expected = {unexpected, *(kind.exit_code for kind in errors_of_a_cutover())}
    assert set(sections_by_code()) == expected


@pytest.mark.parametrize("code", sorted(sections_by_code()))
def test_a_section_says_what_it_means_what_clients_notice_what_to_check_and_what_to_do(code: int) -> None:
    labels = re.findall(r"^- \*\*(.+?):\*\*", sections_by_code()[code], re.M)
    assert labels == ["Meaning", "Clients", "Check", "Do"]


def test_an_alert_names_its_section() -> None:
    for kind in errors_of_a_cutover():
        alert = evaluate("p", kind("failed"), None)
        assert alert
        assert alert.runbook.endswith(f"(docs/operations/runbook.md, code {kind.exit_code})")
    assert NAME in SECTIONS["Alerts"]


def test_every_field_of_an_alert_is_described() -> None:
    assert {name for name in Alert.__dataclass_fields__ if f"`{name}`" not in SECTIONS["Alerts"]} == set()


def test_errors_without_an_alert_are_named() -> None:
    codes = re.search(r"^Codes (.+) raise no alert", SECTIONS["Alerts"], re.M)
    assert codes
    assert {int(code) for code in re.findall(r"\d+", codes[1])} == {kind.exit_code for kind in QUIET}


def test_every_failure_of_a_batch_has_a_row() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", SECTIONS["A batch failed"], re.M)}
    assert rows == {kind.exit_code for kind in batch_errors.BatchError.__subclasses__()}


def test_every_warning_of_status_has_a_row() -> None:
    calls = [ast.unparse(node.func) for node in ast.walk(tree("build.target.status")) if isinstance(node, ast.Call)]
    rows = SECTIONS["Warnings of status"].strip().splitlines()[2:]
    assert len(rows) == calls.count("warnings.append")


def test_every_failure_of_the_janitor_has_a_row() -> None:
    modules = [f"build.janitor.{file.stem}" for file in (ROOT / "build/janitor").glob("*.py")]
    raised = {
        node.exc.func.id
        for module in modules
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }
    # Pins are set by an operator, who reads the error; `_refused` makes a RetentionRefusedError.
    kinds = {getattr(errors, name) for name in raised - {"_refused", "ImageNotFoundError"}}
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", SECTIONS["The janitor failed"], re.M)}
    assert rows == {kind.exit_code for kind in kinds}
