"""The publisher with the real engine and a real registry, on images of a few bytes."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from build.docker.engine import DockerEngine
from build.errors import DiskFullError, RegistryError, StandinRefusedError
from build.images.publish import Publisher
from build.images.resolve import resolve
from build.model.commit import Commit
from build.model.labels import RELEASE_LABEL, STANDIN_LABEL
from build.registry.client import Registry
from build.registry.retry import RetryPolicy
from build.settings import Settings
from harness.faults import Faults, faults
from harness.registry import Running, docker_config, running_registry
from harness.stack import REPOSITORY, wait_for

Make = Callable[..., Image]
MB = 2**20
PUSH = """
from build.console import Reporter
from build.images.identity import Commit
from build.docker.engine import Engine
from {module} import Publisher
commit = Commit("f" * 40, (), (), "main", False, "", "", "")
engine = Engine()
Publisher(engine, Reporter(), "{address}", commit).publish(engine.image("{name}"), "{name}")
"""


class Heard:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def __contains__(self, words: str) -> bool:
        return any(words in line for line in self.lines)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_registry() as found:
        yield found


@pytest.fixture
def proxy(running: Running) -> Iterator[Faults]:
    with faults(running.address) as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    found = DockerEngine()
    yield found
    found.client.close()


@pytest.fixture
def repository(engine: DockerEngine) -> Iterator[str]:
    """A name of this test's own; its images are removed in the end, from wherever they were pushed."""
    name = f"glm-tts-test-{uuid.uuid4().hex[:12]}"
    yield name
    forget(engine, name)


@pytest.fixture
def make(engine: DockerEngine, repository: str) -> Make:
    """Makes an image with one small file."""

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
    """The engine as one that never had an image of the repository."""
    # (The summary alone: an image of somebody else may go between a list and a look at it.)
    for image in engine.client.api.images():
        for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
            if repository in name:
                with contextlib.suppress(docker.errors.APIError):
                    engine.client.images.remove(name, force=True)


def publisher(engine: DockerEngine, address: str, *tags: str, heard: Heard | None = None) -> Publisher:
    commit = Commit("f" * 40, (), tags, "main", False, "2026-01-02T03:04:05+00:00", "", "")
    return Publisher(engine, heard or Heard(), address, commit, RetryPolicy(sleep=lambda _: None))


def test_an_image_is_pushed_once_and_known_by_its_digest(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    image, heard = make(b"one"), Heard()
    reference, published = publisher(engine, running.address, heard=heard).publish(image, f"{repository}:key")
    digest = Registry(running.address).digest(repository, "key")
    assert (reference, published.id) == (f"{running.address}/{repository}@{digest}", image.id)
    assert "pushing" in heard

    again = Heard()
    assert publisher(engine, running.address, heard=again).publish(image, f"{repository}:key")[0] == reference
    assert "pushing" not in again


def test_a_tag_of_a_commit_is_never_moved(engine: DockerEngine, running: Running, make: Make, repository: str) -> None:
    first = publisher(engine, running.address).publish(make(b"the release"), f"{repository}:sha")
    released = first[1].id
    forget(engine, repository)
    other, heard = make(b"built again, and different", tag="sha"), Heard()

    reference, used = publisher(engine, running.address, heard=heard).publish(other, f"{repository}:sha")
    assert (reference, used.id) == (first[0], released)
    assert other.id != released
    assert engine.client.images.get(f"{repository}:sha").id == released
    assert "published from another build" in heard


def test_a_base_is_pulled_by_its_key_where_there_is_none(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    assert publisher(engine, running.address).fetch(f"{repository}:key") is None
    pushed = publisher(engine, running.address).publish(make(b"a base"), f"{repository}:key")
    forget(engine, repository)
    pulled = publisher(engine, running.address).fetch(f"{repository}:key")
    assert pulled
    assert pulled.id == pushed[1].id
    assert engine.client.images.get(f"{repository}:key").id == pushed[1].id


def test_a_base_of_another_runner_is_used_in_place_of_our_own(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    theirs = publisher(engine, running.address).publish(make(b"their build"), f"{repository}:key")
    forget(engine, repository)
    ours = make(b"our build of the same inputs")
    used = publisher(engine, running.address).publish(ours, f"{repository}:key")
    assert (used[0], used[1].id) == (theirs[0], theirs[1].id)
    assert used[1].id != ours.id


def test_a_version_stays_and_a_channel_moves(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    ours = publisher(engine, running.address)
    one = ours.publish(make(b"one", tag="a"), f"{repository}:a")[0]
    two = ours.publish(make(b"two", tag="b"), f"{repository}:b")[0]
    for _ in range(2):
        ours.tag(one, "v1.0.0", movable=False)
    ours.tag(one, "staging", movable=True)
    ours.tag(two, "staging", movable=True)
    with pytest.raises(RegistryError, match="never moved"):
        ours.tag(two, "v1.0.0", movable=False)
    registry = Registry(running.address)
    assert registry.digest(repository, "v1.0.0") == one.partition("@")[2]
    assert registry.digest(repository, "staging") == two.partition("@")[2]
    assert running.tags(repository) == ["a", "b", "staging", "v1.0.0"]


def test_stand_ins_are_not_published_for_production(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    image = make(b"one", labels=f"{STANDIN_LABEL}=conda")
    with pytest.raises(StandinRefusedError, match="conda"):
        publisher(engine, running.address, "v1.0.0").publish(image, f"{repository}:key")
    assert running.tags(repository) == []
    publisher(engine, running.address).publish(image, f"{repository}:key")
    with pytest.raises(StandinRefusedError, match="conda"):
        publisher(engine, running.address, "v1.0.0").publish(image, f"{repository}:key")
    forget(engine, repository)
    with pytest.raises(StandinRefusedError, match="conda"):
        publisher(engine, running.address, "v1.0.0").fetch(f"{repository}:key")


def test_another_manifest_than_what_was_pushed_is_refused(
    engine: DockerEngine, proxy: Faults, make: Make, repository: str
) -> None:
    proxy.tamper = lambda content: content.replace(b"config", b"cOnfig")
    with pytest.raises(RegistryError, match="has the digest"):
        publisher(engine, proxy.address).publish(make(b"one"), f"{repository}:key")


def test_an_upload_that_is_reset_half_way_ends_well(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    proxy.cut_after = [1]
    image = make(uuid.uuid4().bytes * 65536)
    reference, _ = publisher(engine, proxy.address).publish(image, f"{repository}:key")
    assert not proxy.cut_after
    found = Registry(running.address).manifest(repository, reference.partition("@")[2])
    assert found
    assert found.config == image.id


def test_a_push_that_meets_a_busy_registry_is_tried_again(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    proxy.refuse_only = lambda method, path: method == "PUT" and "/manifests/" in path
    proxy.refusals = [(503, {}), (503, {})]
    publisher(engine, proxy.address).publish(make(b"one"), f"{repository}:key")
    assert not proxy.refusals
    assert running.tags(repository) == ["key"]


def test_a_denied_push_is_said_before_the_engine_begins(
    engine: DockerEngine, make: Make, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_registry(password=True) as guarded, faults(guarded.address) as seen:
        monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, seen.address, "nobody")))
        with pytest.raises(RegistryError, match="denied") as refused:
            publisher(engine, seen.address).publish(make(b"one"), f"{repository}:key")
        assert "docker login" in refused.value.remedy
        assert [method for method, _ in seen.requests] == ["HEAD"] * 2 + ["POST"] * 2, "each also with the password"
        assert seen.uploaded == 0


def test_a_push_that_was_killed_half_way_is_finished_by_the_next_one(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    image = make(os.urandom(8 * MB))
    proxy.hold_after = MB
    program = PUSH.format(module=Publisher.__module__, address=proxy.address, name=f"{repository}:key")
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stderr=subprocess.PIPE) as process:
        wait_for("an upload on its way", lambda: proxy.uploaded >= MB or process.poll() is not None)
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
    assert running.tags(repository) == []

    proxy.hold_after = None
    proxy.released.set()
    reference, published = publisher(engine, proxy.address).publish(image, f"{repository}:key")
    assert published.id == image.id
    assert Registry(running.address).digest(repository, "key") == reference.partition("@")[2]


def test_a_full_registry_is_said_and_leaves_no_tag(engine: DockerEngine, make: Make, repository: str) -> None:
    image = make(os.urandom(8 * MB))
    with running_registry(storage_mb=4) as small, faults(small.address) as seen:
        with pytest.raises(RegistryError, match=r"the push of .* failed"):
            publisher(engine, seen.address).publish(image, f"{repository}:key")
        assert sum(method == "HEAD" and "/manifests/" in path for method, path in seen.requests) == 1, "not begun again"
        assert small.tags(repository) == []


def published_release(engine: DockerEngine, address: str, make: Make, repository: str) -> str:
    """A release in the registry, as `repo@digest`."""
    image = make(b"a release", labels=f"{RELEASE_LABEL}={'f' * 40}")
    return publisher(engine, address).publish(image, f"{repository}:key")[0]


def test_a_release_that_the_disk_has_no_room_for_is_not_pulled(
    engine: DockerEngine, running: Running, make: Make, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = published_release(engine, running.address, make, repository)
    forget(engine, repository)
    settings = Settings(root=REPOSITORY)
    monkeypatch.setattr("build.host.machine.free_bytes", lambda _path: 100)
    with pytest.raises(DiskFullError):
        resolve(settings, engine, Heard(), reference)
    assert engine.image(reference) is None
    monkeypatch.undo()
    assert resolve(settings, engine, Heard(), reference).image == reference


def test_a_release_that_cannot_be_pulled_again_is_said_and_still_usable(
    engine: DockerEngine, make: Make, repository: str
) -> None:
    settings = Settings(root=REPOSITORY)
    with running_registry(deletes=True) as registry:
        reference = published_release(engine, registry.address, make, repository)
        heard = Heard()
        assert resolve(settings, engine, heard, reference).image == reference
        assert not heard.lines
        Registry(registry.address).delete_manifest(repository, reference.partition("@")[2])
        assert resolve(settings, engine, heard, reference).image == reference
        assert "no longer has" in heard
    away = Heard()
    assert resolve(settings, engine, away, reference).image == reference
    assert "does not answer" in away
