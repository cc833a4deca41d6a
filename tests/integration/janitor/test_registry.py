"""The janitor with a real registry: retention, deletion, garbage collection and pins."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import pytest
import requests

from build.docker.engine import DockerEngine
from build.errors import RetentionRefusedError, UsageError
from build.janitor.host import Scope
from build.janitor.pins import Pins
from build.janitor.registry import RegistrySurvey
from build.model.release import Release
from build.registry.client import OCI_INDEX, OCI_MANIFEST, Registry, sha256
from harness.registry import STORAGE, Running, running_registry
from harness.stack import wait_for
from tests.integration.janitor.tiny_images import WEIGHT, TinyImages, sha

APP, BASE = "glm-tts-slim", "glm-tts-base-slim"
KEYS = [f"{number:016x}" for number in (1, 2, 3)]
NEWEST_BASE = "000000000000000f"
ATTACHED = 200_000  # bytes of each attached document


def disk(registry: Running, client: Any) -> int:
    """Bytes that a registry's storage uses."""
    code, output = client.containers.get(registry.container).exec_run(["du", "-sb", STORAGE])
    assert code == 0, output
    return int(output.split()[0])


def attach(registry: Registry, name: str, subject: str) -> None:
    """Attach a document of 200 kB to an image, listed under the fallback tag."""
    content = random.randbytes(ATTACHED)
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": registry.put_blob(name, b"{}")}
    layer = {
        "mediaType": "application/vnd.cyclonedx+json",
        "size": ATTACHED,
        "digest": registry.put_blob(name, content),
    }
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    body = json.dumps(manifest).encode()
    digest = registry.put_manifest(name, sha256(body), body, OCI_MANIFEST)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(body)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    registry.put_manifest(name, subject.replace(":", "-"), json.dumps(index).encode(), OCI_INDEX)


def push(images: TinyImages, *tags: str) -> None:
    for tag in tags:
        for event in images.client.images.push(f"{images.prefix}/{tag}", stream=True, decode=True):
            assert "error" not in event, event


def fill(images: TinyImages, registry: Registry) -> dict[int, Any]:
    """Push four bases and five apps, the last one with a version, and attach documents to three apps."""
    for key in KEYS:
        images.make(f"{BASE}:{key}")
    push(images, *(f"{BASE}:{key}" for key in KEYS))
    apps = {
        number: images.app(number, registry.digest(BASE, KEYS[0 if number < 4 else 1])) for number in (1, 2, 3, 4, 5)
    }
    apps[5].tag(f"{images.prefix}/{APP}", "v1.0.0")
    images.make(f"{BASE}:{NEWEST_BASE}")
    push(images, *(f"{APP}:{sha(number)}" for number in apps), f"{APP}:v1.0.0", f"{BASE}:{NEWEST_BASE}")
    for number in (1, 2, 4):
        attach(registry, APP, registry.digest(APP, sha(number)))
    return apps


def test_a_registry_keeps_needed_images_and_its_disk_shrinks(images: TinyImages) -> None:
    with running_registry(project=images.project, deletes=True) as running:
        images.prefix = f"{running.address}/team"
        registry = Registry(images.prefix)
        apps = fill(images, registry)
        pins = Pins(DockerEngine(), scope=Scope(prefix=images.prefix), registry=registry)
        pin = f"{images.prefix}/{APP}:pinned-{sha(4)[:12]}"
        four = Release(sha(4), apps[4].id)
        assert pins.add(four) == [pin, pin]  # the pins of the engine and of the registry have the same name here
        assert registry.digest(APP, f"pinned-{sha(4)[:12]}") == registry.digest(APP, sha(4))
        attached = registry.digest(APP, sha(4)).replace(":", "-")
        copy = f"{images.project}-copy"
        apps[1].tag(copy, "1")
        before = disk(running, images.client)

        with pytest.raises(RetentionRefusedError, match="no journal on this engine"):
            images.janitor(RegistrySurvey(registry), keep_releases=0).run(dry_run=False, now=True)
        shown = images.janitor(RegistrySurvey(registry), keep_releases=0).run(dry_run=True, now=True)
        assert "no journal on this engine" in shown.refused
        with pytest.raises(UsageError, match=sha(9)):
            images.janitor(RegistrySurvey(registry), keep=[sha(9)]).run(dry_run=True, now=True)
        assert {sha(number) for number in (1, 2, 3, 4, 5)} <= set(running.tags(f"team/{APP}"))

        janitor = images.janitor(RegistrySurvey(registry), keep=[sha(3)], keep_releases=0)
        done = janitor.run(dry_run=False, now=True, collect_garbage=running.container)
        assert not done.failed
        wait_for("the restarted registry", lambda: answers(running))
        assert set(running.tags(f"team/{APP}")) == {sha(3), sha(4), f"pinned-{sha(4)[:12]}", attached, sha(5), "v1.0.0"}
        assert set(running.tags(f"team/{BASE}")) == {KEYS[0], KEYS[1], NEWEST_BASE}
        # Removed: two apps, one base and two documents of random bytes, which do not compress.
        assert before - disk(running, images.client) >= 3 * WEIGHT + 2 * ATTACHED
        pulled = images.client.images.pull(f"{images.prefix}/{APP}", tag="v1.0.0")
        assert pulled.labels["ai.glm-tts.release"] == sha(5)

        # The registry was restarted and knows that the blobs are gone, so the image can be pushed again.
        repository = f"{images.prefix}/{APP}"
        images.client.images.get(f"{copy}:1").tag(repository, sha(1))
        push(images, f"{APP}:{sha(1)}")
        for name in (f"{repository}:{sha(1)}", f"{copy}:1"):
            images.client.images.remove(name)
        assert images.client.images.pull(repository, tag=sha(1)).labels["ai.glm-tts.release"] == sha(1)

        assert pin in pins.all()
        assert pins.remove(four) == [pin, pin]
        assert pins.all() == []
        assert sha(4) in running.tags(f"team/{APP}")


def answers(running: Running) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://{running.address}/v2/", timeout=2).ok
    return False


def test_a_registry_that_forbids_deletion_is_reported_and_unchanged(images: TinyImages) -> None:
    with running_registry(project=images.project) as running:
        images.prefix = f"{running.address}/team"
        for number in (1, 2):
            images.app(number)
            push(images, f"glm-tts-slim:{sha(number)}")
        survey = RegistrySurvey(Registry(images.prefix))
        done = images.janitor(survey, keep=[sha(2)], keep_releases=0).run(dry_run=False, now=True)
        assert len(done.failed) == 1
        assert "does not delete images" in done.failed[0]
        assert running.tags("team/glm-tts-slim") == [sha(1), sha(2)]
