"""Locks compared with real images: an image contains exactly the locked packages."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import CommandFailedError
from build.locks import apt_locks, diff, inventory_reader
from build.locks.diff import Difference, LockTexts
from build.locks.inventory import Inventory

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    return DockerEngine()


@pytest.fixture(scope="module")
def base(engine: DockerEngine) -> str:
    """The newest slim base on the engine."""
    return str(engine.images("glm-tts-base-slim")[0].id)


@pytest.fixture(scope="module")
def inventory(engine: DockerEngine, base: str) -> Inventory:
    before = len(engine.client.containers.list(all=True, filters={"ancestor": base}))
    found = inventory_reader.read(engine, base)
    assert len(engine.client.containers.list(all=True, filters={"ancestor": base})) == before
    return found


def test_the_inventory_of_an_image_matches_its_locks(inventory: Inventory) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / "locks/slim.txt").read_text(), re.MULTILINE))
    assert inventory.pip == locked
    assert (inventory.name, inventory.prefix) == ("tts", "/opt/conda/envs/tts")
    assert inventory.conda["python"][0] == inventory.python
    assert {"python", "pip", "ca-certificates"} <= inventory.conda.keys()
    assert "tini" in inventory.apt


def test_an_export_names_every_package_of_the_image(inventory: Inventory, base: str) -> None:
    argv = [sys.executable, "-m", "build.lock", "export", base]
    text = subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=120).stdout
    document = yaml.safe_load(text)
    assert f"python={inventory.python}=debian_0" in document["dependencies"]
    assert document["dependencies"][-1]["pip"] == [
        f"{name}=={version}" for name, version in sorted(inventory.pip.items())
    ]
    assert f"#   tini={inventory.apt['tini']}\n" in text


def test_a_fresh_base_matches_its_pip_lock_and_another_pin_is_drift(inventory: Inventory) -> None:
    lock = (REPOSITORY / "locks/slim.txt").read_text()
    assert diff.drift(inventory, LockTexts(pip=(lock,))) == []
    moved = lock.replace(f"fastapi=={inventory.pip['fastapi']}", "fastapi==0.1")
    found = diff.drift(inventory, LockTexts(pip=(moved,)))
    assert found == [Difference("pip", "fastapi", "0.1", inventory.pip["fastapi"])]


def test_writing_the_apt_lock_of_a_base_twice_reports_only_edits(
    engine: DockerEngine, base: str, tmp_path: Path
) -> None:
    (tmp_path / "locks").mkdir()
    for path in ("Dockerfile.base", "build/conda/image/prepare-os"):  # the lock's inputs, which the index records
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    named = TaggedImage("base", engine.client.images.get(base))
    name, first = apt_locks.write_apt(engine, tmp_path, "slim", named)
    assert "tini" in {change.name for change in first}
    (tmp_path / name).write_text((tmp_path / name).read_text() + "zzz=1\n")
    assert apt_locks.write_apt(engine, tmp_path, "slim", named) == (name, [Difference("apt", "zzz", "1", "")])
    names = [line.partition("=")[0] for line in (tmp_path / name).read_text().splitlines()]
    assert names == sorted(names)


def test_an_image_without_python_is_refused(engine: DockerEngine) -> None:
    os_image = engine.images("standin/debian") or engine.images("debian")
    with pytest.raises(CommandFailedError, match=r"python|cannot be read"):
        inventory_reader.read(engine, str(os_image[0].id))
