"""Name of an apt lock: the lock of a stand-in OS never replaces the genuine one."""

from types import SimpleNamespace
from typing import cast

import pytest
from docker.models.images import Image

from build.locks.apt_locks import apt_lock_name
from build.model.labels import STANDIN_LABEL


@pytest.mark.parametrize(
    ("standins", "name"),
    [
        ("", "locks/apt-slim.txt"),
        ("conda", "locks/apt-slim.txt"),
        ("conda,os", "locks/apt-slim.standin.txt"),
        ("os,cuda", "locks/apt-slim.standin.txt"),
    ],
)
def test_the_name_shows_a_stand_in_os(standins: str, name: str) -> None:
    image = cast(Image, SimpleNamespace(labels={STANDIN_LABEL: standins}))
    assert apt_lock_name(image, "slim") == name
