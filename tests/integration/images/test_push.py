"""The publisher with the real engine and a real registry, on images of a few bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.docker.engine import DockerEngine
from build.errors import DiskFullError, RegistryError, StandinRefusedError
from build.images.publish import Publisher
from build.images.resolve import resolve
from build.model.labels import RELEASE_LABEL, STANDIN_LABEL
from build.registry.client import Registry
from build.settings import Settings
from harness.faults import Faults, faults
from harness.recorded_progress import RecordedProgress
from harness.registry import Running, docker_config, running_registry
from harness.stack import REPOSITORY, wait_for
from tests.integration.images.tiny_images import Make, engine, forget, make, publisher, repository, running

__all__ = ("engine", "make", "repository", "running")  # fixtures

MB = 2**20
PUSH = """
from build.console import Reporter
from build.model.commit import Commit
from build.docker.engine import DockerEngine
from {module} import Publisher
commit = Commit("f" * 40, (), (), "main", False, "", "", "")
engine = DockerEngine()
Publisher(engine, Reporter(), "{address}", commit).publish(engine.image("{name}"), "{name}")
"""


@pytest.fixture
def proxy(running: Running) -> Iterator[Faults]:
    with faults(running.address) as found:
        yield found


def test_an_image_is_pushed_once_and_referenced_by_its_digest(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    image, progress = make(b"one"), RecordedProgress()
    reference, published = publisher(engine, running.address, progress=progress).publish(image, f"{repository}:key")
    digest = Registry(running.address).digest(repository, "key")
    assert (reference, published.id) == (f"{running.address}/{repository}@{digest}", image.id)
    assert "pushing" in progress

    second = RecordedProgress()
    assert publisher(engine, running.address, progress=second).publish(image, f"{repository}:key")[0] == reference
    assert "pushing" not in second


def test_a_tag_of_a_commit_is_never_moved(engine: DockerEngine, running: Running, make: Make, repository: str) -> None:
    first = publisher(engine, running.address).publish(make(b"the release"), f"{repository}:sha")
    released = first[1].id
    forget(engine, repository)
    other, progress = make(b"built again, and different", tag="sha"), RecordedProgress()

    reference, used = publisher(engine, running.address, progress=progress).publish(other, f"{repository}:sha")
    assert (reference, used.id) == (first[0], released)
    assert other.id != released
    assert engine.client.images.get(f"{repository}:sha").id == released
    assert "published from another build" in progress


def test_a_missing_base_is_pulled_by_its_key(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    assert publisher(engine, running.address).fetch(f"{repository}:key") is None
    pushed = publisher(engine, running.address).publish(make(b"a base"), f"{repository}:key")
    forget(engine, repository)
    pulled = publisher(engine, running.address).fetch(f"{repository}:key")
    assert pulled
    assert pulled.id == pushed[1].id
    assert engine.client.images.get(f"{repository}:key").id == pushed[1].id


def test_the_published_base_of_another_runner_is_used(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    published = publisher(engine, running.address).publish(make(b"their build"), f"{repository}:key")
    forget(engine, repository)
    own = make(b"our build of the same inputs")
    used = publisher(engine, running.address).publish(own, f"{repository}:key")
    assert (used[0], used[1].id) == (published[0], published[1].id)
    assert used[1].id != own.id


def test_a_version_is_never_moved_and_a_channel_is(
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


def test_a_manifest_that_differs_from_the_pushed_one_is_refused(
    engine: DockerEngine, proxy: Faults, make: Make, repository: str
) -> None:
    proxy.tamper = lambda content: content.replace(b"config", b"cOnfig")
    with pytest.raises(RegistryError, match="has the digest"):
        publisher(engine, proxy.address).publish(make(b"one"), f"{repository}:key")


def test_an_upload_that_is_reset_is_completed(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    proxy.cut_after = [1]
    image = make(uuid.uuid4().bytes * 65536)
    reference, _ = publisher(engine, proxy.address).publish(image, f"{repository}:key")
    assert not proxy.cut_after
    found = Registry(running.address).manifest(repository, reference.partition("@")[2])
    assert found
    assert found.config == image.id


def test_a_push_to_a_busy_registry_is_retried(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    proxy.refuse_only = lambda method, path: method == "PUT" and "/manifests/" in path
    proxy.refusals = [(503, {}), (503, {})]
    publisher(engine, proxy.address).publish(make(b"one"), f"{repository}:key")
    assert not proxy.refusals
    assert running.tags(repository) == ["key"]


def test_a_denied_push_fails_before_the_engine_starts(
    engine: DockerEngine, make: Make, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_registry(password=True) as guarded, faults(guarded.address) as front:
        monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, front.address, "unknown-user")))
        with pytest.raises(RegistryError, match="denied") as refused:
            publisher(engine, front.address).publish(make(b"one"), f"{repository}:key")
        assert "docker login" in refused.value.remedy
        # Each request is repeated with the password.
        assert [method for method, _ in front.requests] == ["HEAD", "HEAD", "POST", "POST"]
        assert front.uploaded == 0


def test_a_killed_push_is_completed_by_the_next_one(
    engine: DockerEngine, proxy: Faults, make: Make, running: Running, repository: str
) -> None:
    image = make(os.urandom(8 * MB))
    proxy.hold_after = MB
    program = PUSH.format(module=Publisher.__module__, address=proxy.address, name=f"{repository}:key")
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stderr=subprocess.PIPE) as process:
        wait_for("a running upload", lambda: proxy.uploaded >= MB or process.poll() is not None)
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
    assert running.tags(repository) == []

    proxy.hold_after = None
    proxy.released.set()
    reference, published = publisher(engine, proxy.address).publish(image, f"{repository}:key")
    assert published.id == image.id
    assert Registry(running.address).digest(repository, "key") == reference.partition("@")[2]


def test_a_push_to_a_full_registry_fails_without_a_tag(engine: DockerEngine, make: Make, repository: str) -> None:
    image = make(os.urandom(8 * MB))
    with running_registry(storage_mb=4) as small, faults(small.address) as front:
        with pytest.raises(RegistryError, match=r"the push of .* failed"):
            publisher(engine, front.address).publish(image, f"{repository}:key")
        heads = [path for method, path in front.requests if method == "HEAD" and "/manifests/" in path]
        assert len(heads) == 1, "the push restarted"
        assert small.tags(repository) == []


def published_release(engine: DockerEngine, address: str, make: Make, repository: str) -> str:
    """Publish a release; return its `repo@digest`."""
    image = make(b"a release", labels=f"{RELEASE_LABEL}={'f' * 40}")
    return publisher(engine, address).publish(image, f"{repository}:key")[0]


def test_a_release_is_not_pulled_if_the_disk_is_too_small(
    engine: DockerEngine, running: Running, make: Make, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = published_release(engine, running.address, make, repository)
    forget(engine, repository)
    settings = Settings(root=REPOSITORY)
    monkeypatch.setattr("build.host.machine.free_bytes", lambda _path: 100)
    with pytest.raises(DiskFullError):
        resolve(settings, engine, RecordedProgress(), reference)
    assert engine.image(reference) is None
    monkeypatch.undo()
    assert resolve(settings, engine, RecordedProgress(), reference).image == reference


def test_a_release_that_cannot_be_pulled_again_is_usable_with_a_warning(
    engine: DockerEngine, make: Make, repository: str
) -> None:
    settings = Settings(root=REPOSITORY)
    with running_registry(deletes=True) as registry:
        reference = published_release(engine, registry.address, make, repository)
        progress = RecordedProgress()
        assert resolve(settings, engine, progress, reference).image == reference
        assert not progress.lines
        Registry(registry.address).delete_manifest(repository, reference.partition("@")[2])
        assert resolve(settings, engine, progress, reference).image == reference
        assert "no longer has" in progress
    away = RecordedProgress()
    assert resolve(settings, engine, away, reference).image == reference
    assert "does not answer" in away
