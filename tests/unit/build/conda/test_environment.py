"""Parsing of environment.yml and of its extension."""

from pathlib import Path

import pytest

from build.conda import CondaError, environment

ROOT = Path(__file__).parents[4]


def test_the_projects_own_environment_is_torch29_on_python_311() -> None:
    own = environment.load([ROOT / "environment.yml"])
    assert own.name == "torch29"
    assert own.channels == ("conda-forge",)
    assert "python=3.11.*" in own.specs
    assert own.pip == ("--requirement locks/cuda.txt",)


def test_the_dev_environment_only_adds_to_the_environment() -> None:
    own = environment.load([ROOT / "environment.yml"])
    dev = environment.load([ROOT / "environment.yml", ROOT / "environment-dev.yml"])
    assert dev.name == own.name
    assert dev.specs[: len(own.specs)] == own.specs
    assert len(dev.specs) > len(own.specs)
    assert dev.pip == (*own.pip, "--requirement locks/dev.txt")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: [", "is not YAML"),
        ("- a list", "has no name"),
        ("name: x", "no list of dependencies"),
        ("dependencies: [python]", "has no name"),
    ],
)
def test_an_invalid_environment_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "environment.yml"
    path.write_text(text)
    with pytest.raises(CondaError, match=reason):
        environment.load([path])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CondaError, match=r"environment\.yml cannot be read"):
        environment.load([tmp_path / "environment.yml"])


def test_an_extension_of_another_environment_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("name: other\ndependencies: [git]\n")
    with pytest.raises(CondaError, match="different environments: other, torch29"):
        environment.load([ROOT / "environment.yml", other])
