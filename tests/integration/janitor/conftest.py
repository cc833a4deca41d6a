"""Fixture of the janitor's tests: tiny images that are removed after the test."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stack import PREFIX
from tests.integration.janitor.tiny_images import TinyImages


@pytest.fixture
def images(tmp_path: Path) -> Iterator[TinyImages]:
    project = f"{PREFIX}{os.getpid()}-{random.randrange(16**4):04x}"
    images = TinyImages(tmp_path, project, project)
    yield images
    images.close()
