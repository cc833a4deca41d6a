"""One commit gives one image, with any builder and any configuration of Docker."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.docker import buildx
from build.docker.buildx import Recipe
from build.docker.engine import DockerEngine
from build.system import git
from build.system.sources import WRITTEN, Sources
from build.verify import layers
from harness.repository import Repository, repository

__all__ = ["repository"]

DOCKERFILE = "FROM scratch\nCOPY service /app/service\n"


@pytest.fixture
def other_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Select a builder with another driver, another default platform and a strict umask; yield the builder's name."""
    name = f"glm-tts-test-{os.getpid()}"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    create = ["docker", "buildx", "create", "--use", "--driver", "docker-container", "--name", name]
    subprocess.run(create, check=True, capture_output=True)
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    before = os.umask(0o077)
    yield name
    os.umask(before)
    # The builder has no container unless a build used it.
    subprocess.run(["docker", "buildx", "rm", "--force", name], check=True, capture_output=True)


@pytest.mark.parametrize("named", [True, False])
def test_the_image_is_independent_of_umask_builder_and_default_platform(
    other_builder: str, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    if named:
        monkeypatch.setenv("BUILDX_BUILDER", other_builder)
    repository.write({"Dockerfile.app": DOCKERFILE, "service/web/小明.py": os.urandom(8), "service/run": "x"})
    (repository.root / "service/run").chmod(0o700)
    repository.commit()
    tree, tag, engine = tmp_path / "tree", f"glm-tts-test-bytes:{os.getpid()}", DockerEngine()
    tree.mkdir()
    Sources(repository.root, git.read(repository.root)).export(("Dockerfile.app", "service"), tree)
    buildx.build(tree, Recipe("Dockerfile.app"), tag=tag)
    image = engine.image(tag)
    assert image, "the image is not on the engine"
    try:
        assert (image.attrs["Os"], image.attrs["Architecture"]) == ("linux", "amd64")
        found = [(entry.name.strip("/"), entry) for _, layer in layers.open_layers(image) for entry in layer]
    finally:
        engine.client.images.remove(tag)
        engine.client.close()
    assert {name: (oct(stat.S_IMODE(entry.mode)), entry.uid, entry.gid) for name, entry in found} == {
        "app": ("0o755", 0, 0),
        "app/service": ("0o755", 0, 0),
        "app/service/run": ("0o755", 0, 0),
        "app/service/web": ("0o755", 0, 0),
        "app/service/web/小明.py": ("0o644", 0, 0),
    }
    assert {entry.mtime for name, entry in found if name != "app"} == {WRITTEN}
