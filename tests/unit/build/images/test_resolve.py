"""Which image a commit names, among those of an engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError
from build.images.resolve import resolve
from build.settings import Settings
from harness.recorded_progress import RecordedProgress
from harness.stack import REPOSITORY

SHA = "1234567" + "a" * 33


def found(reference: str, *images: tuple[str, ...]) -> str:
    """The ID of the resolved image; images are `image-1`, `image-2` ... with these tags."""
    listed = [
        SimpleNamespace(id=f"image-{number}", tags=list(tags), attrs={}, labels={"ai.glm-tts.release": SHA})
        for number, tags in enumerate(images, 1)
    ]
    engine = SimpleNamespace(images=lambda _repository: listed, image=lambda _reference: None)
    return resolve(Settings(root=REPOSITORY), cast(DockerEngine, engine), RecordedProgress(), reference).image


@pytest.mark.parametrize("reference", [SHA, SHA[:7]])
def test_a_newer_build_of_a_pushed_commit_is_chosen_by_its_own_tag(reference: str) -> None:
    pushed = ("registry.example.com/glm-tts-slim:" + SHA, "glm-tts-slim:pinned-1234567aaaaa")
    assert found(reference, pushed, ("glm-tts-slim:" + SHA,)) == "image-2"
    assert found(reference, pushed) == "image-1"


def test_a_sha_that_fits_two_commits_is_rejected() -> None:
    with pytest.raises(ImageNotFoundError, match="matches 2 images"):
        found(SHA[:7], ("glm-tts-slim:" + SHA,), ("glm-tts-slim:" + SHA[:7] + "b" * 33,))
