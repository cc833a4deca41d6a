"""A CI runner with only a clone and the upstream images reuses what the registry has.

The runner is a nested engine with an empty builder.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from build.images.builder import OS_IMAGES
from build.model.labels import CACHE_TAG, CHANNEL_REPOSITORY
from build.registry.client import Registry
from build.system import command
from harness.nested import nested_engine
from harness.registry import Running, also_within
from harness.stack import Stack

APP, BASE = "glm-tts-slim", "glm-tts-base-slim"
Layers = dict[str, int]  # size by digest, in their order
DEPENDENCIES = 3  # the lowest layers of a base: the OS, its packages, the conda environment
KB = 1000
UPSTREAM = (*OS_IMAGES, CHANNEL_REPOSITORY)


def another_clone(of: Stack, root: Path) -> Stack:
    command.run(["git", "clone", "--quiet", "--no-hardlinks", str(of.root), str(root)])
    for key, value in (("user.name", "Test"), ("user.email", "test@example.invalid")):
        command.run(["git", "config", key, value], cwd=root)
    return replace(of, root=root)


def change_the_last_lock(stack: Stack) -> None:
    """Commit a unique comment in the last lock, which changes no installed package."""
    lock = stack.root / "locks/slim.txt"
    lock.write_text(f"{lock.read_text()}# {uuid.uuid4()}\n")
    stack.releases.append(stack.commit("another last lock"))


@pytest.fixture(scope="module")
def first(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Clone of another runner with its own base, because the existing base may be older than the build cache."""
    first = another_clone(stack, tmp_path_factory.mktemp("first") / "clone")
    change_the_last_lock(first)
    return first


@pytest.fixture(scope="module")
def published(first: Stack, running: Running) -> Iterator[None]:
    """The release of the first runner, published in the registry."""
    first.run("build.images", "--push", running.address)
    yield
    for tag in running.tags(BASE):
        with contextlib.suppress(docker.errors.ImageNotFound):
            first.docker.images.remove(f"{BASE}:{tag}")


@pytest.fixture(scope="module")
def runner(
    first: Stack, running: Running, published: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A clone whose engine has only the upstream images."""
    runner = another_clone(first, tmp_path_factory.mktemp("runner") / "clone")
    upstream = [tag for name in UPSTREAM for image in first.docker.images.list(name) for tag in image.tags]
    with nested_engine(project=first.project) as nested, also_within(nested.container, running):
        nested.load(*upstream)
        yield replace(runner, env={**runner.env, **nested.env}, docker=nested.client)


def layers(running: Running, repository: str, tag: str) -> Layers:
    manifest = Registry(running.address).manifest(repository, tag)
    assert manifest
    return {layer["digest"]: layer["size"] for layer in manifest.parsed["layers"]}


def config_size(running: Running, repository: str, tag: str) -> int:
    manifest = Registry(running.address).manifest(repository, tag)
    assert manifest
    return int(manifest.parsed["config"]["size"])


def test_a_change_of_code_costs_one_small_layer(runner: Stack, running: Running) -> None:
    before = layers(running, APP, "staging")
    sha = runner.commit("by the fresh runner")
    done = runner.run("build.images", "--push", running.address)
    assert f"building {BASE}" not in done.stderr
    assert "passed these checks, by its report in the registry" in done.stderr
    after = layers(running, APP, sha)
    new = {digest: size for digest, size in after.items() if digest not in before}
    config = config_size(running, APP, sha)
    print(f"pushed: {len(new)} of {len(after)} layers, {sum(new.values())} bytes, configuration {config} bytes")
    assert len(new) == 1
    assert sum(new.values()) + config < 50 * KB


def test_a_change_of_the_last_lock_rebuilds_only_the_layers_above_it(runner: Stack, running: Running) -> None:
    before = layers(running, BASE, CACHE_TAG)
    change_the_last_lock(runner)
    done = runner.run("build.images", "--push", running.address)
    assert f"building {BASE}" in done.stderr
    after = layers(running, BASE, CACHE_TAG)
    assert list(after)[:DEPENDENCIES] == list(before)[:DEPENDENCIES]
    new = [size for digest, size in after.items() if digest not in before]
    print(f"pushed: {len(new)} of {len(after)} layers of the base, {sum(new)} bytes of {sum(after.values())}")
    assert list(after)[DEPENDENCIES] not in before
