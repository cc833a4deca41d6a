"""Drift of an image from its locks, package by package."""

from dataclasses import replace

from build.locks.diff import Difference, LockTexts, drift
from build.locks.inventory import Inventory

INVENTORY = Inventory(
    python="3.11.2",
    name="tts",
    prefix="/env",
    channels=(),
    conda={"python": ("3.11.2", "debian_0"), "ca-certificates": ("20230311", "debian_0")},
    pip={"numpy": "2.3.5", "typing-extensions": "4.15.0"},
    apt={"tini": "0.19.0-1+b3"},
)
CONDA = "".join(
    f"file:///channel/linux-64/{name}-{version}-debian_0.conda#sha256:{'0' * 64}\n"
    for name, version in (("ca-certificates", "20230311"), ("python", "3.11.2"))
)
LOCKS = LockTexts(
    pip=("numpy==2.3.5 \\\n    --hash=sha256:00\n", "numpy==2.3.5\nTyping_Extensions==4.15.0 ; x\n"),
    conda=f"@EXPLICIT\n{CONDA}",
)


def test_an_image_that_matches_its_locks_has_no_drift() -> None:
    assert drift(INVENTORY, LOCKS) == []


def test_added_removed_and_changed_packages_are_named() -> None:
    moved = replace(
        INVENTORY,
        pip={"numpy": "2.3.6", "typing-extensions": "4.15.0"},
        conda={**INVENTORY.conda, "pip": ("25", "x_0")},
    )
    assert drift(moved, LOCKS) == [
        Difference("conda", "pip", "", "25=x_0"),
        Difference("pip", "numpy", "2.3.5", "2.3.6"),
    ]


def test_another_build_of_the_same_version_is_drift() -> None:
    rebuilt = replace(INVENTORY, conda={**INVENTORY.conda, "python": ("3.11.2", "debian_1")})
    assert drift(rebuilt, LOCKS) == [Difference("conda", "python", "3.11.2=debian_0", "3.11.2=debian_1")]


def test_a_kind_without_a_lock_is_not_compared() -> None:
    assert drift(INVENTORY, LockTexts()) == []
