"""Publishing to a real registry (Debian's docker-registry): by digest, once, and only what may be published."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import requests
from testcontainers.core.container import DockerContainer

from build.errors import DirtyTreeError, RegistryError, StandinRefusedError
from build.procedures.build_images import OS_IMAGES
from tests.support.stack import Stack, free_port, wait_for

# Ryuk, its reaper, is an image from Docker Hub; the stack's sweep cleans up by label instead.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

REGISTRY = """FROM {os_image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
# Debian's own configuration demands a password.
RUN sed -i '/^auth:/,/path:/d' /etc/docker/registry/config.yml
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"""


@pytest.fixture(scope="module")
def registry(stack: Stack) -> Iterator[str]:
    os_image = next(name for name in OS_IMAGES if stack.docker.images.list(name=name))
    tag = "glm-tts-test-registry"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--tag", tag, "-"],
        input=REGISTRY.format(os_image=os_image).encode(),
        check=True,
        capture_output=True,
    )
    port = free_port()
    container = DockerContainer(tag).with_kwargs(labels={"com.docker.compose.project": stack.project})
    container.ports["5000/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]  # docker-py's own form; it is passed on
    with container:
        address = f"127.0.0.1:{port}"
        stack.registries.append(address)
        wait_for("the registry", lambda: answers(f"http://{address}/v2/"))
        yield address
    stack.docker.images.remove(tag)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def manifests(registry: str, repository: str) -> list[str]:
    tags: list[str] = requests.get(f"http://{registry}/v2/{repository}/tags/list", timeout=5).json()["tags"]
    return tags


def test_a_commit_is_pushed_once_and_goes_live_by_its_digest(stack: Stack, registry: str) -> None:
    sha = stack.release("published")
    pushed = stack.run("build.images", "--push", registry).stdout.splitlines()[-1]
    assert pushed.startswith(f"{registry}/glm-tts-slim@sha256:")
    assert manifests(registry, "glm-tts-slim") == [sha]
    assert len(manifests(registry, "glm-tts-base-slim")) == 1

    labels = stack.docker.images.get(f"glm-tts-slim:{sha}").labels
    assert labels["org.opencontainers.image.base.name"].startswith(f"{registry}/glm-tts-base-slim@sha256:")
    assert labels["org.opencontainers.image.revision"] == sha

    again = stack.run("build.images", "--push", registry)
    assert again.stdout.splitlines()[-1] == pushed
    assert again.stderr.count("is in the registry already") == 2

    stack.run("build.cutover", "switch", pushed)
    status = stack.status()
    assert status["colours"][status["live"]]["release"] == {"sha": sha, "image": pushed}


def test_a_dirty_tree_is_never_pushed(stack: Stack, registry: str) -> None:
    stray = stack.root / "service" / "stray.py"
    stray.write_text("")
    try:
        done = stack.run("build.images", "--push", registry, check=False)
    finally:
        stray.unlink()
    assert done.returncode == DirtyTreeError.exit_code
    assert "service/stray.py" in done.stderr


def test_stand_ins_are_not_pushed_for_production(stack: Stack, registry: str) -> None:
    git = ["git", "-C", str(stack.root), "tag"]
    subprocess.run([*git, "v1.0.0"], check=True)
    try:
        done = stack.run("build.images", "--push", registry, check=False)
    finally:
        subprocess.run([*git, "-d", "v1.0.0"], check=True, capture_output=True)
    assert done.returncode == StandinRefusedError.exit_code
    assert "stands on stand-ins for" in done.stderr


def test_a_registry_that_is_away_is_said(stack: Stack) -> None:
    done = stack.run("build.images", "--push", f"127.0.0.1:{free_port()}", check=False)
    assert done.returncode == RegistryError.exit_code
    assert "does not answer" in done.stderr
