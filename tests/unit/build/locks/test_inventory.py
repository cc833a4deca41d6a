"""Parsing of an image's inventory, and its export as an environment file."""

import json

import pytest
import yaml

from build.locks import inventory
from build.locks.inventory import Inventory

INVENTORY = Inventory(
    python="3.11.2",
    name="tts",
    prefix="/opt/conda/envs/tts",
    channels=("file:///channel",),
    conda={"python": ("3.11.2", "debian_0"), "pip": ("25.3", "standin_0")},
    pip={"numpy": "2.3.5"},
    apt={"tini": "0.19.0-1+b3", "libc6": "2.36-9"},
    apt_security=frozenset({"libc6"}),
    apt_source="mirror",
    apt_time="20261128T025300Z",
)


def test_a_printed_inventory_is_parsed() -> None:
    assert inventory.parse(json.dumps(vars(INVENTORY), default=list)) == INVENTORY


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"python": "3.11"}'])
def test_an_invalid_inventory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an inventory|Expecting value"):
        inventory.parse(text)


def test_an_export_is_an_environment_file() -> None:
    text = inventory.exported(INVENTORY)
    assert yaml.safe_load(text) == {
        "name": "tts",
        "channels": ["file:///channel"],
        "dependencies": ["pip=25.3=standin_0", "python=3.11.2=debian_0", {"pip": ["numpy==2.3.5"]}],
        "prefix": "/opt/conda/envs/tts",
    }
    assert text.endswith("#   libc6=2.36-9\n#   tini=0.19.0-1+b3\n")
