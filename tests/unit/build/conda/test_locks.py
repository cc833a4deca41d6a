"""The committed pip locks: complete, with hashes, and independent of the machine that wrote them."""

import re
from pathlib import Path

import pytest

from build.locks.index import PIP_LOCKS

LOCKS = Path(__file__).parents[4] / "locks"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?)==(\S+) \\$", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((LOCKS / f"{name}.txt").read_text()))


def test_every_input_has_its_lock() -> None:
    parts = {"service"}  # included by others, never installed by itself
    assert {path.stem for path in LOCKS.glob("*.in")} - parts == set(PIP_LOCKS)


@pytest.mark.parametrize("name", PIP_LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (LOCKS / f"{name}.txt").read_text())[1:]
    assert entries
    assert len(entries) == len(pins(name))
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", PIP_LOCKS)
def test_no_lock_names_an_index_or_a_folder(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    assert not re.search(r"://|--find-links|--(extra-)?index|^ *#.*via /", text, re.MULTILINE)


def test_torch_is_locked_to_the_expected_build() -> None:
    assert pins("torch")["torch"] == "2.9.1"
    assert pins("cuda").items() >= pins("torch").items()


def test_the_dev_lock_contains_the_versions_of_the_slim_lock() -> None:
    shipped, tested = pins("slim"), pins("dev")
    assert {name: tested.get(name) for name in shipped} == shipped
