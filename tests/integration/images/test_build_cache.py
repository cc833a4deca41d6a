"""The janitor prunes a real build cache, on a nested engine that also serves a release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.images.builder import OS_IMAGES
from build.model import dotenv
from build.model.labels import OCI
from harness.nested import Nested, nested_engine
from harness.stack import Stack, fresh_stack

LIMIT_MB, WEIGHT_MB, BUILDS = 100, 40, 4
# Random bytes, so that each build adds its own cache record.
HEAVY = "FROM {os_image}\nRUN head -c {weight}MB /dev/urandom >/weight && echo {number}\n"


@pytest.fixture
def serving(stack: Stack, tmp_path: Path) -> Iterator[tuple[Stack, Nested]]:
    """A release, built on the host's engine and serving on a nested one."""
    with fresh_stack(tmp_path, beside=stack) as served, nested_engine(project=served.project) as nested:
        app = f"glm-tts-slim:{served.release('served by a nested engine')}"
        proxy = dotenv.parse((served.root / ".env").read_text())["PROXY_IMAGE"]
        nested.load(app, served.docker.images.get(app).labels[f"{OCI}base.name"], proxy)
        served.env["DOCKER_HOST"] = nested.host
        served.run("build.cutover", "switch")
        yield served, nested


def cache_mb(nested: Nested) -> float:
    """Size of the build cache by the engine, without records shared with images."""
    return sum(int(record["Size"]) for record in nested.client.df()["BuildCache"] or [] if not record["Shared"]) / 1e6


def fill(nested: Nested) -> None:
    """Run builds and remove their images, so that only the cache grows."""
    os_image = next(name for name in OS_IMAGES if nested.client.images.list(name=name))
    file = nested.folder / "Dockerfile"
    for number in range(BUILDS):
        file.write_text(HEAVY.format(os_image=os_image, weight=WEIGHT_MB, number=number))
        nested.run("docker", "buildx", "build", "--quiet", "--tag", "heavy", "--file", str(file), str(nested.folder))
        nested.run("docker", "image", "rm", "heavy")


def test_the_build_cache_shrinks_to_its_limit_and_the_live_release_is_kept(serving: tuple[Stack, Nested]) -> None:
    stack, nested = serving
    nested.load(next(name for name in OS_IMAGES if stack.docker.images.list(name=name)))
    fill(nested)
    stack.env |= {"CUTOVER_BUILD_CACHE_GB": str(LIMIT_MB / 1000), "CUTOVER_KEEP_RELEASES": "0"}
    before = cache_mb(nested)
    assert before > BUILDS * WEIGHT_MB
    images = sorted(tag for image in nested.client.images.list() for tag in image.tags)
    live = nested.client.containers.get(f"{stack.project}-app-blue-1")

    plan = json.loads(stack.run("build.janitor", "--dry-run", "--json").stdout)["actions"]
    (removal,) = (action for action in plan if action["where"] == "build cache")
    assert (removal["action"], removal["why"]) == ("remove", "0.2 GB, more than 0.1 GB")
    assert removal["bytes"] / 1e6 == pytest.approx(before - LIMIT_MB, abs=1)
    assert cache_mb(nested) == before

    stack.run("build.janitor", "--now")
    assert 0 < cache_mb(nested) <= LIMIT_MB
    assert sorted(tag for image in nested.client.images.list() for tag in image.tags) == images
    live.reload()
    assert live.attrs["State"]["Health"]["Status"] == "healthy"
    output = nested.client.containers.run(live.image.id, ["python", "-c", "import service.app"], remove=True)
    assert output == b""
    assert stack.status()["live"] == "blue"

    plan = json.loads(stack.run("build.janitor", "--dry-run", "--json").stdout)["actions"]
    (action,) = (action for action in plan if action["where"] == "build cache")
    assert "within 0.1 GB" in action["why"]
