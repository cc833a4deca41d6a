"""Whole runs of `build.images --push`: main and tag of one commit, and a registry with immutable tags."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.images.resolve import resolve
from build.janitor.registry import RegistrySurvey
from build.model.labels import ENVIRONMENT_LABEL, OCI
from build.registry import registries
from build.registry.client import Registry
from build.settings import load
from harness.faults import faults
from harness.registry import Running
from harness.stack import Stack
from tests.integration.images.test_publish import genuine
from tests.integration.images.test_registry_kinds import immutable

APP = "glm-tts-slim"


@pytest.fixture
def tagged(stack: Stack) -> Iterator[list[str]]:
    """The command `git tag` in the clone; the tag v2.0.0 is removed after the test."""
    git = ["git", "-C", str(stack.root), "tag"]
    yield git
    subprocess.run([*git, "-d", "v2.0.0"], check=True, capture_output=True)


def test_a_tag_after_main_gives_a_production_image_with_the_same_layers(
    stack: Stack, running: Running, tagged: list[str]
) -> None:
    sha = stack.release("main first, its tag later")
    where = f"{running.address}/both"
    stack.registries.append(where)
    parent = stack.docker.images.get(f"{APP}:{sha}").labels[f"{OCI}base.name"]

    def push() -> str:
        return stack.run("build.images", "--push", where, "--accept-drift").stdout.splitlines()[-1]

    with genuine(stack, parent):
        staging = push()
        subprocess.run([*tagged, "v2.0.0"], check=True)
        production = push()
        assert push() == production, "published once"
    registry = Registry(where)
    digests = {tag: registry.digest(APP, tag) for tag in (sha, "staging", "v2.0.0", "production")}
    assert digests[sha] == digests["staging"] == staging.partition("@")[2]
    assert digests["v2.0.0"] == digests["production"] == production.partition("@")[2]
    assert staging != production
    labels, layers = {}, []
    for digest in (digests[sha], digests["v2.0.0"]):
        manifest = registry.manifest(APP, digest)
        assert manifest
        config = json.loads(registry.blob(APP, manifest.config))["config"]["Labels"]
        labels[digest] = (config[ENVIRONMENT_LABEL], config[f"{OCI}version"])
        layers.append([layer["digest"] for layer in manifest.parsed["layers"]])
    assert labels == {digests[sha]: ("staging", sha), digests["v2.0.0"]: ("production", "v2.0.0")}
    assert layers[0] == layers[1]

    record = json.loads(stack.run("build.images", "history", "--json").stdout.splitlines()[-1])
    assert (record["environment"], record["version"], record["pushed"]) == ("production", "v2.0.0", production)
    settings, engine = load(stack.root, stack.env), DockerEngine()
    for reference in (sha, "v2.0.0", f"{where}/{APP}:v2.0.0"):
        release = resolve(settings, engine, Reporter(), reference)
        assert (release.sha, release.image) == (sha, production)
    assert resolve(settings, engine, Reporter(), f"{where}/{APP}:{sha}").image == staging
    found = RegistrySurvey(registries.connect(engine, where)).items()
    assert {item.id for item in found if item.release == sha} == {digests[sha], digests["v2.0.0"]}


def test_several_releases_are_published_to_a_registry_with_immutable_tags(stack: Stack, running: Running) -> None:
    with faults(running.address) as front:
        stack.registries.append(front.address)
        front.answer = immutable(running)
        for change in ("tags that stay, once", "tags that stay, twice"):
            sha = stack.release(change)
            done = stack.run("build.images", "--push", front.address)
            digest = Registry(running.address).digest(APP, sha)
            assert done.stdout.splitlines()[-1] == f"{front.address}/{APP}@{digest}"
    assert done.stderr.count("warning: ") >= 1
    assert f"{front.address}/{APP}:staging stays at sha256:" in done.stderr
