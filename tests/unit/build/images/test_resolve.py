"""Which image a commit names, among those of an engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from docker.models.images import Image

from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError, RegistryError
from build.images import resolve as resolver
from build.images.resolve import pull, resolve
from build.model.release import Release
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


NAME = "registry.example.com/team/glm-tts-slim"
OLD, NEW = f"{NAME}@sha256:{'1' * 64}", f"{NAME}@sha256:{'2' * 64}"


class Registry:
    """A registry that has NEW, and an engine that has OLD under the tag `stable`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = "registry.example.com"
        self.found: str | RegistryError = NEW.partition("@")[2]
        self.pulled: list[str] = []
        monkeypatch.setattr(resolver, "at_registry", lambda _engine, name: (self, *name.rsplit(":", 1)))
        monkeypatch.setattr(resolver, "free_bytes", lambda _engine: None)
        stored = SimpleNamespace(images=SimpleNamespace(pull=self._pull))
        have = {f"{NAME}:stable": image(OLD), OLD: image(OLD)}
        self.engine = cast(DockerEngine, SimpleNamespace(image=have.get, images=lambda _name: [], client=stored))

    def digest(self, _name: str, reference: str) -> str:
        if isinstance(self.found, RegistryError):
            raise self.found
        return self.found if reference == "stable" else reference

    def image(self, _name: str, _reference: str) -> None:
        """Give no sizes."""

    def _pull(self, name: str) -> Image:
        self.pulled.append(name)
        return image(NEW)

    def resolve(self, reference: str) -> str:
        return resolve(Settings(root=REPOSITORY), self.engine, RecordedProgress(), reference).image


def image(digest: str) -> Image:
    return Image({"Id": "image", "RepoDigests": [digest], "Config": {"Labels": {"ai.glm-tts.release": SHA}}})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


def test_a_tag_that_moved_in_its_registry_is_pulled_again(registry: Registry) -> None:
    assert registry.resolve(f"{NAME}:stable") == NEW
    assert registry.pulled == [f"{NAME}:stable"]


@pytest.mark.parametrize("found", [OLD.partition("@")[2], "", RegistryError("registry.example.com does not answer")])
def test_a_tag_is_not_pulled_while_its_registry_has_nothing_else(
    registry: Registry, found: str | RegistryError
) -> None:
    registry.found = found
    assert registry.resolve(f"{NAME}:stable") == OLD
    assert registry.resolve(OLD) == OLD, "a digest cannot move"
    assert not registry.pulled


def test_the_image_of_a_journaled_release_is_pulled_by_its_digest(registry: Registry) -> None:
    pull(registry.engine, RecordedProgress(), Release(SHA, NEW))
    assert registry.pulled == [NEW]
    pull(registry.engine, RecordedProgress(), Release(SHA, "sha256:" + "1" * 64))
    assert registry.pulled == [NEW], "an image ID names no registry"
