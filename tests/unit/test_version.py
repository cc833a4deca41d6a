"""Commands, service, project file and changelog have the same version."""

from __future__ import annotations

import sys
import tomllib

import pytest

import build
import service
from build.system import command
from harness.stack import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_commands_service_and_project_have_the_same_version() -> None:
    assert {build.VERSION, service.VERSION} == {PROJECT["version"]}


def test_the_changelog_has_a_section_for_the_version() -> None:
    assert f"\n## {PROJECT['version']} - 20" in (REPOSITORY / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("module", ["build.images", "build.cutover", "build.hello", "batch"])
def test_a_command_prints_its_version(module: str) -> None:
    printed = command.run([sys.executable, "-m", module, "--version"], cwd=REPOSITORY)
    assert printed.decode() == f"{PROJECT['name']} {PROJECT['version']}\n"
