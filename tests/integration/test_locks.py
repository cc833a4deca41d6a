"""Locks against real images: what an image holds is what its locks say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build.decisions.inventory import Inventory
from build.drivers.engine import Engine
from build.errors import CommandFailedError
from build.procedures import inventory

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def base(engine: Engine) -> str:
    """The newest slim base on the engine."""
    return str(engine.images("glm-tts-base-slim")[0].id)


@pytest.fixture(scope="module")
def held(engine: Engine, base: str) -> Inventory:
    before = len(engine.client.containers.list(all=True, filters={"ancestor": base}))
    found = inventory.read(engine, base)
    assert len(engine.client.containers.list(all=True, filters={"ancestor": base})) == before
    return found


def test_an_image_says_what_it_holds(held: Inventory) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / "locks/slim.txt").read_text(), re.MULTILINE))
    assert held.pip == locked
    assert (held.name, held.prefix) == ("tts", "/opt/conda/envs/tts")
    assert held.conda["python"][0] == held.python
    assert {"python", "pip", "ca-certificates"} <= held.conda.keys()
    assert "tini" in held.apt


def test_an_image_without_python_is_refused(engine: Engine) -> None:
    os_image = engine.images("standin/debian") or engine.images("debian")
    with pytest.raises(CommandFailedError, match=r"python|could not say"):
        inventory.read(engine, str(os_image[0].id))
