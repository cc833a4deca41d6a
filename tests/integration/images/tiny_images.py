"""Images of a few bytes, a registry to publish them to, and a publisher; fixtures for several test modules."""

from __future__ import annotations

import contextlib
import io
import tarfile
import uuid
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.models.images import Image

from build.docker.engine import DockerEngine
from build.images.publish import Publisher
from build.model.commit import Commit
from build.registry.retry import RetryPolicy
from harness.recorded_progress import RecordedProgress
from harness.registry import Running, running_registry

Make = Callable[..., Image]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_registry() as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    found = DockerEngine()
    yield found
    found.client.close()


@pytest.fixture
def repository(engine: DockerEngine) -> Iterator[str]:
    """A unique repository name; the engine's images with this name are removed after the test."""
    name = f"glm-tts-test-{uuid.uuid4().hex[:12]}"
    yield name
    forget(engine, name)


@pytest.fixture
def make(engine: DockerEngine, repository: str) -> Make:
    """Make an image with one small file."""

    def made(content: bytes, tag: str = "key", labels: str = "") -> Image:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("content")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        changes = [f"LABEL {labels}"] if labels else []
        engine.client.api.import_image_from_data(packed.getvalue(), repository=repository, tag=tag, changes=changes)
        return engine.client.images.get(f"{repository}:{tag}")

    return made


def forget(engine: DockerEngine, repository: str) -> None:
    """Remove all names of the repository's images from the engine."""
    # Read only the summary: another process may remove an image between a list and an inspection.
    for image in engine.client.api.images():
        for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
            if repository in name:
                with contextlib.suppress(docker.errors.APIError):
                    engine.client.images.remove(name, force=True)


def publisher(engine: DockerEngine, address: str, *tags: str, progress: RecordedProgress | None = None) -> Publisher:
    commit = Commit("f" * 40, (), tags, "main", False, "2026-01-02T03:04:05+00:00", "", "")
    return Publisher(engine, progress or RecordedProgress(), address, commit, RetryPolicy(sleep=lambda _: None))
