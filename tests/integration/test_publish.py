"""Publishing to a real registry (Debian's docker-registry): by digest, once, and only what may be published."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from build.drivers.registry import Registry
from build.errors import DirtyTreeError, RegistryError, StandinRefusedError
from build.procedures import attach
from tests.support.registry import Running, running_registry
from tests.support.stack import Stack, free_port


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[Running]:
    with running_registry(project=stack.project) as found:
        stack.registries.append(found.address)
        yield found


@pytest.fixture(scope="module")
def registry(running: Running) -> str:
    return running.address


def test_a_commit_is_pushed_once_and_goes_live_by_its_digest(stack: Stack, running: Running) -> None:
    registry, sha = running.address, stack.release("published")
    pushed = stack.run("build.images", "--push", registry).stdout.splitlines()[-1]
    assert pushed.startswith(f"{registry}/glm-tts-slim@sha256:")
    digest = pushed.partition("@")[2]
    assert set(running.tags("glm-tts-slim")) == {sha, "staging", attach.fallback_tag(digest)}
    beside = attach.attached(Registry(registry), "glm-tts-slim", digest)
    assert {each.artifact_type for each in beside} == {attach.SBOM, attach.VERIFICATION, attach.BUILD_RECORD}
    assert len(running.tags("glm-tts-base-slim")) == 1

    labels = stack.docker.images.get(f"glm-tts-slim:{sha}").labels
    assert labels["org.opencontainers.image.base.name"].startswith(f"{registry}/glm-tts-base-slim@sha256:")
    assert labels["org.opencontainers.image.revision"] == sha

    again = stack.run("build.images", "--push", registry)
    assert again.stdout.splitlines()[-1] == pushed
    assert again.stderr.count("is in the registry already") == 2
    assert attach.attached(Registry(registry), "glm-tts-slim", digest) == beside
    record = json.loads(stack.run("build.images", "history", "--json").stdout.splitlines()[-1])
    assert (record["sha"], record["pushed"], record["manifest_digest"]) == (sha, pushed, digest)
    assert {part["part"] for part in record["verification"]} == {"base", "app"}

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
