"""The whole line on an engine that keeps its images in containerd's store, the default of Docker 29.

The engine is nested in a container. The base is copied from this machine's engine, which may use another image store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from build.console import Reporter
from build.docker import imagestore
from build.docker.engine import DockerEngine
from build.errors import RetentionRefusedError
from build.images.publish import Publisher
from build.images.resolve import resolve
from build.janitor.cleaner import Janitor
from build.janitor.host import Scope
from build.janitor.pins import Pins
from build.janitor.registry import RegistrySurvey
from build.model.labels import CHANNEL_REPOSITORY, RELEASE_LABEL
from build.model.release import Release
from build.registry.client import Registry
from build.settings import load
from build.system import command, git
from build.target.target import ComposeTarget
from harness import images
from harness.nested import Nested, nested_engine
from harness.registry import Running, also_within
from harness.stack import Stack, fresh_stack

APP = "glm-tts-slim"
MB = 10**6
STORE = {"features": {"containerd-snapshotter": True}}


@pytest.fixture(scope="module")
def nested(stack: Stack, running: Running) -> Iterator[Nested]:
    """The engine, with this machine's OS image, channel and proxy, and the registry at the same address.

    A base that this machine's own engine has built, verified and pushed is in the registry.
    """
    stack.run("build.images", "--push", running.address)
    # Copied, because a rebuilt channel has another digest, and a base on it has another key.
    channels = [tag for image in stack.docker.images.list(CHANNEL_REPOSITORY) for tag in image.tags]
    proxy = stack.container("proxy").attrs["Config"]["Image"]
    with nested_engine(project=stack.project, settings=STORE) as nested, also_within(nested.container, running):
        nested.load(images.os_image(), *channels, proxy)
        yield nested


@pytest.fixture(scope="module")
def line(nested: Nested, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A clone that deploys to that engine."""
    with fresh_stack(tmp_path_factory.mktemp("containerd")) as made:
        env = {**made.env, "DOCKER_HOST": nested.host, "CUTOVER_GATE_SYNTHESES": "1"}
        yield replace(made, env=env, docker=nested.client)


@pytest.fixture(scope="module")
def pushed(line: Stack, running: Running) -> str:
    """`repo@digest` of a release that was built on the base in the registry, verified and pushed there."""
    line.releases.append(line.commit("published"))
    done = line.run("build.images", "--push", running.address)
    assert "building glm-tts-base-slim" not in done.stderr, "the base's key differs between the stores"
    assert "building glm-tts-proxy" not in done.stderr, "the proxy's key differs between the stores"
    assert "passed these checks, by its report in the registry" in done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def nested_host(nested: Nested, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process use the nested engine."""
    monkeypatch.setenv("DOCKER_HOST", nested.host)


def record(line: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line.run("build.images", "history", "--json").stdout.splitlines()[-1])
    return found


def test_an_image_is_pushed_under_the_digest_that_is_its_id(line: Stack, running: Running, pushed: str) -> None:
    digest = pushed.partition("@")[2]
    assert line.docker.images.get(pushed).id == digest
    manifest = Registry(running.address).manifest(APP, digest)
    assert manifest
    assert manifest.config, "an index: the build added an attestation"
    made = record(line)
    assert (made["image_id"], made["manifest_digest"], made["pushed"]) == (digest, digest, pushed)
    assert not [part for part in made["verification"] if part["failed"]]
    assert made["size_bytes"] > 500 * MB, "the size of the packed layers"


def test_a_fresh_pull_by_digest_is_verified_and_goes_live(line: Stack, pushed: str) -> None:
    for name in line.docker.images.get(pushed).tags:
        line.docker.images.remove(name)
    done = line.run("build.cutover", "switch", pushed)
    assert f"pulling {pushed}" in done.stderr
    assert "gate: " in done.stderr
    status = line.status()
    assert status["colours"][status["live"]]["release"] == {"sha": line.releases[0], "image": pushed}


def test_every_layer_is_verified(line: Stack, pushed: str) -> None:
    reports = line.run("build.images", "verify", "--fresh", pushed).stdout
    (size,) = (int(found) for found in re.findall(r"(\d+) MB of \d+ MB", reports))
    assert size > 500, "the size of the packed layers"


def test_an_unpublished_release_goes_live_by_its_id(line: Stack, pushed: str) -> None:
    sha = line.release("not published")
    done = line.run("build.cutover", "switch")
    assert "registry" not in done.stderr, "the switch queried a registry for an image that only this engine has"
    image = line.docker.images.get(f"{APP}:{sha}")
    status = line.status()
    assert status["colours"][status["live"]]["release"] == {"sha": sha, "image": image.id}
    line.run("build.cutover", "rollback")
    status = line.status()
    assert status["colours"][status["live"]]["release"]["image"] == pushed


@pytest.mark.usefixtures("nested_host")
def test_a_tag_that_was_never_pushed_is_not_a_publication(
    line: Stack, running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    image = line.docker.images.get(f"{APP}:{line.releases[-1]}")
    image.tag(f"{running.address}/{APP}", "never-pushed")
    try:
        found = resolve(load(line.root, line.env), DockerEngine(), Reporter(), line.releases[-1])
    finally:
        line.docker.images.remove(f"{running.address}/{APP}:never-pushed")
    assert found == Release(line.releases[-1], image.id)
    assert "does not have" in capsys.readouterr().err


def tiny(line: Stack, name: str, base: str, *labels: str) -> str:
    """Build an image of labels like plain `docker buildx build`, which adds an attestation; return its ID."""
    dockerfile = "\n".join([f"FROM {base}", *(f"LABEL {label}" for label in labels)])
    argv = ["docker", "buildx", "build", "--quiet", "--tag", name, "-"]
    return command.run(argv, env=line.env, stdin=dockerfile.encode()).decode().strip()


def released(sha: str) -> str:
    return f"{RELEASE_LABEL}={sha}"


@pytest.mark.usefixtures("nested_host")
def test_the_last_pin_of_an_image_is_not_removed(line: Stack) -> None:
    sha, prefix = f"{7:040x}", line.project
    name = f"{prefix}/{APP}:{sha}"
    image = tiny(line, name, images.os_image(), released(sha))
    pins, release = Pins(DockerEngine(), scope=Scope(prefix=prefix)), Release(sha, image)
    (pin,) = pins.add(release)
    line.docker.images.remove(name)
    with pytest.raises(RetentionRefusedError, match="last name"):
        pins.remove(release)
    line.docker.images.remove(pin)
    assert DockerEngine().image(image) is None


@pytest.mark.usefixtures("nested_host")
def test_the_janitor_frees_images_that_no_release_needs(line: Stack, running: Running, pushed: str) -> None:
    sha, engine = f"{3:040x}", DockerEngine()
    # On the layers of the live release: one image whose tag moved to the next build, and one that was never verified.
    untagged, unverified = (
        tiny(line, f"{APP}:{tag}", pushed, released(sha), f"build={tag}") for tag in (sha, f"{sha}-next")
    )
    # A build that moves a tag deletes the older image in this store; `docker tag` and a pull keep it without a name.
    line.docker.images.get(unverified).tag(APP, sha)
    assert line.docker.images.get(untagged).tags == []
    settings = load(line.root, {**line.env, "CUTOVER_KEEP_RELEASES": "0"})
    survey = RegistrySurvey(Registry(running.address))
    done = Janitor(ComposeTarget(settings, engine), Reporter(), registry=survey, young_s=0).run(dry_run=False, now=True)
    assert done.failed == ()
    gone = {action.item.id: action.item for action in done.actions if not action.keep}
    assert gone[unverified].size < MB, "layers that the live release needs are counted as freed"
    assert (engine.image(untagged), engine.image(unverified)) == (None, None)
    assert engine.image(f"{APP}:{line.releases[-1]}"), "the journal names it"
    assert line.docker.containers.run(pushed, ["python", "-c", "import service"], remove=True) == b""
    assert Registry(running.address).digest(APP, "staging") == pushed.partition("@")[2]


def test_the_disk_path_is_that_of_the_store(nested: Nested) -> None:
    (path,) = (path for path in imagestore.disk_paths(nested.client.info()) if nested.has(path))
    assert nested.has(f"{path}/io.containerd.content.v1.content")


def test_an_image_published_as_an_index_is_used(line: Stack, running: Running) -> None:
    sha, registry = f"{5:040x}", Registry(running.address)
    name = f"{running.address}/{APP}:{sha}"
    tiny(line, name, images.os_image(), released(sha))
    line.docker.api.push(name)
    digest = registry.digest(APP, sha)
    index = registry.manifest(APP, digest)
    assert index
    assert len(index.parsed["manifests"]) == 2, "BuildKit adds no attestation"
    # On this machine's engine, whose store may identify the image by its configuration.
    engine = DockerEngine()
    image = Publisher(engine, Reporter(), running.address, git.read(line.root)).fetch(f"{APP}:{sha}")
    assert image
    assert image.labels[RELEASE_LABEL] == sha
    engine.client.images.remove(f"{APP}:{sha}")
    (item,) = (item for item in RegistrySurvey(registry).items() if item.id == digest)
    assert item.release == sha
    assert item.size > 10 * MB, "an attestation stands for the image"
