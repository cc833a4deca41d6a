"""NOTICE names every package of an image whose licence requires more than to keep a notice."""

from __future__ import annotations

import re
from importlib.metadata import distribution

import pytest

from harness.stack import REPOSITORY

COPYLEFT = re.compile(r"GPL|MPL|General Public|Mozilla|EPL|CDDL|CC-BY-SA")
LOCKED = re.findall(r"^([\w.-]+)==", (REPOSITORY / "locks/slim.txt").read_text(), re.MULTILINE)


def licence(package: str) -> str:
    """Return the licence that the installed package states: expression, classifiers, first line of the text."""
    metadata = distribution(package).metadata
    free_text = [text.partition("\n")[0] for text in metadata.get_all("License") or []]
    return " ".join(
        [*(metadata.get_all("License-Expression") or []), *(metadata.get_all("Classifier") or []), *free_text]
    )


@pytest.mark.parametrize("package", LOCKED)
def test_notice_names_a_package_under_copyleft(package: str) -> None:
    notice = (REPOSITORY / "NOTICE").read_text()
    assert not COPYLEFT.search(licence(package)) or re.search(rf"\b{re.escape(package)}\b", notice)


def test_the_check_finds_known_copyleft() -> None:
    assert {name for name in LOCKED if COPYLEFT.search(licence(name))} >= {"piper-tts", "certifi"}
