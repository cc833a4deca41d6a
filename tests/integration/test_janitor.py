"""The janitor on a real engine, a real registry and a real stack; it sees only repositories of the test's own."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from build.console import Reporter
from build.decisions.history import Release
from build.drivers.engine import Engine
from build.drivers.journal import FILE
from build.drivers.registry_store import RegistryStore
from build.errors import ImageNotFoundError, RegistryError, RetentionRefusedError
from build.janitor import table
from build.procedures.build_images import OS_IMAGES
from build.procedures.janitor import Janitor
from build.procedures.janitor_host import Scope
from build.procedures.janitor_registry import RegistrySurvey
from build.procedures.pins import Pins
from build.procedures.target import Target
from build.settings import Settings, load
from tests.support.stack import PREFIX, Stack, free_port, wait_for

OCI = "org.opencontainers.image."
WEIGHT = 300_000  # bytes of each image


def sha(number: int) -> str:
    return f"{number:040x}"


@dataclass
class Yard:
    """Tiny images under a prefix of their own, labelled like the real ones."""

    root: Path
    prefix: str
    project: str
    client: Any = field(default_factory=docker.from_env)

    def make(self, name: str, release: str = "", base: str = "", created: str = "") -> Any:
        """An image of random bytes as `prefix/name`."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("weight")
            entry.size = WEIGHT
            archive.addfile(entry, io.BytesIO(random.randbytes(WEIGHT)))
        labels = {"ai.glm-tts.release": release, OCI + "base.digest": base, OCI + "created": created}
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items() if value] + ['CMD ["/weight"]']
        repository, _, tag = f"{self.prefix}/{name}".rpartition(":")
        self.client.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag, changes=changes)
        return self.client.images.get(f"{repository}:{tag}")

    def app(self, number: int, base: str = "", *, verified: bool = True) -> Any:
        image = self.make(f"glm-tts-slim:{sha(number)}", sha(number), base, f"2026-01-{number:02}T00:00:00+00:00")
        if verified:
            self.report(image, "passed")
        return image

    def report(self, image: Any, outcome: str) -> None:
        folder = self.root / "out/verified"
        folder.mkdir(parents=True, exist_ok=True)
        lines = {"lines": [{"name": "speaks", "outcome": outcome, "detail": ""}]}
        (folder / f"{image.id.removeprefix('sha256:')}-app.json").write_text(json.dumps(lines))

    def janitor(self, registry: RegistrySurvey | None = None, **settings: Any) -> Janitor:
        """One that looks at nothing but this yard, and takes no image for one just being built."""
        scope = Scope(prefix=self.prefix, project=lambda name: name == self.project, build_cache=False)
        chosen = Settings(root=self.root, project=self.project, **settings)
        return Janitor(Target(chosen, Engine()), Reporter(), scope=scope, registry=registry, young_s=0)

    def names(self) -> set[str]:
        tags = [tag for image in self.client.api.images() for tag in image.get("RepoTags") or []]
        return {tag.removeprefix(f"{self.prefix}/") for tag in tags if tag.startswith(f"{self.prefix}/")}

    def close(self) -> None:
        for name in self.names():
            with contextlib.suppress(docker.errors.APIError):
                self.client.images.remove(f"{self.prefix}/{name}", force=True)
        self.client.close()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    project = f"{PREFIX}{os.getpid()}-{random.randrange(16**4):04x}"
    yard = Yard(tmp_path, project, project)
    yield yard
    yard.close()


def test_what_is_needed_stays_and_the_rest_goes_once_disk_is_short(yard: Yard) -> None:
    bases = [yard.make(f"glm-tts-base-slim:{number:016x}") for number in (1, 2, 3)]
    apps = {number: yard.app(number, bases[0].id if number < 3 else bases[1].id) for number in (1, 2, 4, 5, 6)}
    yard.app(7, verified=False)
    yard.report(yard.app(8), "failed")
    yard.make("glm-tts-base-slim:000000000000000f")  # the newest
    pins = Pins(Engine(), scope=Scope(prefix=yard.prefix))
    assert pins.add(Release(sha(4), apps[4].id)) == [f"{yard.prefix}/glm-tts-slim:pinned-{sha(4)[:12]}"]
    (yard.root / ".env").write_text(f"GREEN_IMAGE={apps[5].id}\n")
    # Created and never started: it needs its image all the same.
    container = yard.client.containers.create(f"{yard.prefix}/glm-tts-slim:{sha(2)}", name=f"{yard.project}-kept")
    before = yard.names()
    try:
        dry = yard.janitor(keep_releases=1).run(dry_run=True, now=True)
        assert not dry.acted
        idle = yard.janitor(keep_releases=1, min_free_gb=0).run(dry_run=False, now=False)
        assert not idle.acted
        assert yard.names() == before
        done = yard.janitor(keep_releases=1, min_free_gb=10**6).run(dry_run=False, now=False)
    finally:
        container.remove(force=True)
    assert done.acted
    assert not done.failed
    assert {action.item.name: action.why for action in dry.actions} == {
        action.item.name: action.why for action in done.actions
    }
    assert (
        yard.names()
        == {
            f"glm-tts-slim:{sha(2)}",  # in a container
            f"glm-tts-slim:{sha(4)}",  # pinned
            f"glm-tts-slim:pinned-{sha(4)[:12]}",
            f"glm-tts-slim:{sha(5)}",  # in .env
            f"glm-tts-slim:{sha(6)}",  # last verified
            "glm-tts-base-slim:0000000000000001",  # under 2
            "glm-tts-base-slim:0000000000000002",  # under 4, 5, 6
            "glm-tts-base-slim:000000000000000f",
        }
    )


def test_the_table_tells_what_goes_first_with_reason_and_size(yard: Yard) -> None:
    yard.app(1)
    yard.app(2)
    outcome = yard.janitor(keep_releases=1).run(dry_run=True, now=False)
    columns = [list(column.cells) for column in table(outcome.actions).columns]
    rows = list(zip(*columns, strict=True))
    name, newer = (f"{yard.prefix}/glm-tts-slim:{sha(number)}" for number in (1, 2))
    assert rows[0] == ("remove", "host", name, "0.3 MB", "older than the last 1 verified")
    assert ("keep", "host", newer, "0.3 MB", "number 1 of the last 1 verified") in rows


def test_a_name_that_somebody_else_gave_an_image_stays(yard: Yard) -> None:
    image = yard.app(1, verified=False)
    foreign = f"{yard.project}-foreign"
    image.tag(foreign, "mine")
    try:
        yard.janitor().run(dry_run=False, now=True)
        assert yard.names() == set()
        assert yard.client.images.get(f"{foreign}:mine").id == image.id
    finally:
        yard.client.images.remove(f"{foreign}:mine")


def test_pins_come_and_go_and_never_take_the_image_with_them(yard: Yard) -> None:
    image = yard.app(1)
    release = Release(sha(1), image.id)
    pins = Pins(Engine(), scope=Scope(prefix=yard.prefix))
    made = pins.add(release)
    assert pins.all() == made
    assert pins.remove(release) == made
    assert pins.all() == []
    assert yard.names() == {f"glm-tts-slim:{sha(1)}"}
    with pytest.raises(ImageNotFoundError, match="is not pinned"):
        pins.remove(release)
    pins.add(release)
    yard.client.images.remove(f"{yard.prefix}/glm-tts-slim:{sha(1)}")
    with pytest.raises(RetentionRefusedError, match="last name"):
        pins.remove(release)
    assert pins.all() == made


def test_old_records_go_but_not_those_of_images_that_stay(yard: Yard) -> None:
    kept, gone = yard.app(2), yard.app(1)
    builds = yard.root / "out/builds"
    builds.mkdir()
    for name, image in (("kept.json", kept), ("gone.json", gone), ("recent.json", gone)):
        (builds / name).write_text(json.dumps({"image_id": image.id}))
    folder = builds / "of-gone"
    folder.mkdir()
    (folder / "log").write_text("pip said much")
    long_ago = time.time() - 40 * 86400
    for path in (builds / "kept.json", builds / "gone.json", folder / "log", *yard.root.glob("out/verified/*")):
        os.utime(path, (long_ago, long_ago))
    yard.janitor(keep_releases=1).run(dry_run=False, now=True)
    left = {path.name for path in builds.iterdir()}
    assert left == {"kept.json", "recent.json"}
    reports = [path.name for path in yard.root.glob("out/verified/*")]
    assert reports == [f"{kept.id.removeprefix('sha256:')}-app.json"]


REGISTRY = """FROM {os_image}
RUN apt-get update -q && apt-get install -y -q --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
RUN sed -i '/^auth:/,/path:/d' /etc/docker/registry/config.yml
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"""


@dataclass
class Registry:
    host: str
    container: Any

    @property
    def disk(self) -> int:
        """Bytes that the registry's storage takes."""
        code, said = self.container.exec_run(["du", "-sb", "/var/lib/docker-registry"])
        assert code == 0, said
        return int(said.split()[0])

    def up(self) -> bool:
        try:
            return requests.get(f"http://{self.host}/v2/", timeout=2).ok
        except requests.RequestException:
            return False

    def put(self, repository: str, reference: str, document: dict[str, Any]) -> str:
        """A manifest; returns its digest."""
        body = json.dumps(document).encode()
        url = f"http://{self.host}/v2/{repository}/manifests/{reference}"
        requests.put(url, body, headers={"Content-Type": document["mediaType"]}, timeout=10).raise_for_status()
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def upload(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = requests.post(f"http://{self.host}/v2/{repository}/blobs/uploads/", timeout=10)
        begun.raise_for_status()
        requests.put(begun.headers["Location"], content, params={"digest": digest}, timeout=10).raise_for_status()
        return digest

    def attach(self, repository: str, subject: str) -> None:
        """An artifact of 200 kB, found by the fallback tag of its subject."""
        content, empty = random.randbytes(200_000), b"{}"
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": ""},
            "layers": [{"mediaType": "application/vnd.cyclonedx+json", "size": len(content), "digest": ""}],
        }
        manifest["config"]["digest"] = self.upload(repository, empty)  # type: ignore[index]  # a dict
        manifest["layers"][0]["digest"] = self.upload(repository, content)  # type: ignore[index]  # a list
        digest = self.put(repository, f"sha256:{hashlib.sha256(json.dumps(manifest).encode()).hexdigest()}", manifest)
        entry = {"mediaType": manifest["mediaType"], "digest": digest, "size": len(json.dumps(manifest))}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
        self.put(repository, subject.replace(":", "-"), index)


@pytest.fixture
def start_registry() -> Iterator[Callable[..., Registry]]:
    client = docker.from_env()
    tag = f"{PREFIX}janitor-registry"
    os_image = next(name for name in OS_IMAGES if client.images.list(name=name))
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--tag", tag, "-"],
        input=REGISTRY.format(os_image=os_image).encode(),
        check=True,
        capture_output=True,
    )
    started: list[Any] = []

    def start(*, delete: bool = True) -> Registry:
        port = free_port()
        container = client.containers.run(
            tag,
            detach=True,
            ports={"5000/tcp": ("127.0.0.1", port)},
            environment={"REGISTRY_STORAGE_DELETE_ENABLED": str(delete).lower()},
            labels={"com.docker.compose.project": f"{PREFIX}{os.getpid()}-registry"},
        )
        started.append(container)
        registry = Registry(f"127.0.0.1:{port}", container)
        wait_for("the registry", registry.up)
        return registry

    yield start
    for container in started:
        container.remove(force=True, v=True)
    client.images.remove(tag)
    client.close()


def push(yard: Yard, *tags: str) -> None:
    for tag in tags:
        for event in yard.client.images.push(f"{yard.prefix}/{tag}", stream=True, decode=True):
            assert "error" not in event, event


def test_a_registry_keeps_what_is_needed_and_its_disk_shrinks(
    yard: Yard, start_registry: Callable[..., Registry]
) -> None:
    registry = start_registry()
    yard.prefix = f"{registry.host}/team"
    store = RegistryStore(registry.host)
    bases = [yard.make(f"glm-tts-base-slim:{number:016x}") for number in (1, 2, 3)]
    push(yard, *(f"glm-tts-base-slim:{number:016x}" for number in (1, 2, 3)))
    digests = [store.manifest("team/glm-tts-base-slim", f"{number:016x}")[0] for number in (1, 2, 3)]
    assert len(bases) == len(set(digests))
    apps = {number: yard.app(number, digests[0 if number < 4 else 1]) for number in (1, 2, 3, 4, 5)}
    push(yard, *(f"glm-tts-slim:{sha(number)}" for number in apps))
    apps[5].tag(f"{yard.prefix}/glm-tts-slim", "v1.0.0")
    push(yard, "glm-tts-slim:v1.0.0")
    yard.make("glm-tts-base-slim:000000000000000f")
    push(yard, "glm-tts-base-slim:000000000000000f")
    for number in (1, 2, 4):
        registry.attach("team/glm-tts-slim", store.manifest("team/glm-tts-slim", sha(number))[0])
    pins = Pins(Engine(), scope=Scope(prefix=yard.prefix), registry=yard.prefix, store=store)
    pins.add(Release(sha(4), apps[4].id))
    copy = f"{yard.project}-copy"
    apps[1].tag(copy, "1")
    before = registry.disk

    survey = RegistrySurvey(store, yard.prefix)
    janitor = yard.janitor(survey, keep_releases=0)
    done = janitor.run(dry_run=False, now=True, collect_garbage=registry.container.id)
    assert not done.failed
    wait_for("the registry again", registry.up)

    attached = store.manifest("team/glm-tts-slim", sha(4))[0].replace(":", "-")
    assert set(store.tags("team/glm-tts-slim")) == {
        sha(4),
        f"pinned-{sha(4)[:12]}",
        attached,
        sha(5),
        "v1.0.0",
    }
    assert set(store.tags("team/glm-tts-base-slim")) == {"0000000000000002", "000000000000000f"}
    # Gone: three apps, two bases, two artifacts; random bytes do not shrink on the way.
    assert before - registry.disk >= 5 * WEIGHT + 2 * 200_000
    assert yard.client.images.pull(f"{yard.prefix}/glm-tts-slim", tag="v1.0.0").labels["ai.glm-tts.release"] == sha(5)
    # The registry knows that the blobs are gone: what went can be pushed again, whole.
    again = f"{yard.prefix}/glm-tts-slim"
    yard.client.images.get(f"{copy}:1").tag(again, sha(1))
    push(yard, f"glm-tts-slim:{sha(1)}")
    for name in (f"{again}:{sha(1)}", f"{copy}:1"):
        yard.client.images.remove(name)
    assert yard.client.images.pull(again, tag=sha(1)).labels["ai.glm-tts.release"] == sha(1)

    assert f"{yard.prefix}/glm-tts-slim:pinned-{sha(4)[:12]}" in pins.remove(Release(sha(4), apps[4].id))
    assert f"pinned-{sha(4)[:12]}" not in store.tags("team/glm-tts-slim")
    assert sha(4) in store.tags("team/glm-tts-slim")


def test_a_registry_that_forbids_deletion_is_said_with_the_remedy(
    yard: Yard, start_registry: Callable[..., Registry]
) -> None:
    registry = start_registry(delete=False)
    yard.prefix = f"{registry.host}/team"
    yard.app(1)
    push(yard, f"glm-tts-slim:{sha(1)}")
    store = RegistryStore(registry.host)
    digest, _ = store.manifest("team/glm-tts-slim", sha(1))
    with pytest.raises(RegistryError, match="does not allow deletion") as caught:
        store.delete("team/glm-tts-slim", digest)
    assert "REGISTRY_STORAGE_DELETE_ENABLED" in caught.value.remedy
    done = yard.janitor(RegistrySurvey(store, yard.prefix), keep_releases=0).run(dry_run=False, now=True)
    assert len(done.failed) == 1
    assert store.tags("team/glm-tts-slim") == [sha(1)]


@pytest.fixture
def three(stack: Stack) -> Iterator[tuple[Stack, Yard, list[str]]]:
    """Three releases that served, the newest live; their images also under a name that the janitor may take."""
    shas = [stack.status()["colours"][stack.status()["live"]]["release"]["sha"]]
    for change in ("the second to be kept", "the third to be kept"):
        shas.append(stack.release(change))
        stack.run("build.cutover", "switch")
    yard = Yard(stack.root, f"{stack.project}-yard", stack.project)
    for each in shas:
        yard.client.images.get(f"glm-tts-slim:{each}").tag(f"{yard.prefix}/glm-tts-slim", each)
    yield stack, yard, shas
    yard.close()


def test_live_and_last_good_survive_and_nothing_goes_after_a_failure(three: tuple[Stack, Yard, list[str]]) -> None:
    stack, yard, (first, last_good, live) = three
    settings = load(stack.root, {**stack.env, "CUTOVER_KEEP_RELEASES": "0"})
    scope = Scope(prefix=yard.prefix, project=lambda name: name == stack.project, build_cache=False)

    def janitor() -> Janitor:
        return Janitor(Target(settings, Engine()), Reporter(), scope=scope, young_s=0)

    everything = {f"glm-tts-slim:{each}" for each in (first, last_good, live)}
    # A way back by the journal alone: no container stands on it any more.
    idle = next(colour for colour in ("blue", "green") if colour != stack.status()["live"])
    stack.container(f"app-{idle}").remove(force=True)

    def shell(script: str) -> None:
        code, said = stack.container("state").exec_run(["sh", "-c", script])
        assert code == 0, said

    release = f'{{"sha":"{sha(9)}","image":"sha256:{sha(9)}"}}'
    seq = len(stack.journal())
    begin = f'{{"seq":{seq},"event":"begin","cutover":"x","kind":"switch","colour":"{idle}","at":"now",'
    begin += f'"release":{release},"previous":null}}'
    end = f'{{"seq":{seq + 1},"event":"end","cutover":"x","state":"failed","at":"now"}}'
    shell(f"cp {FILE} {FILE}.kept")
    try:
        for lines, said in (([begin], "under way"), ([begin, end], "failed")):
            shell(f"cp {FILE}.kept {FILE}; printf '%s\\n' {' '.join(repr(line) for line in lines)} >>{FILE}")
            with pytest.raises(RetentionRefusedError, match=said):
                janitor().run(dry_run=False, now=True)
            done = stack.run("build.janitor", "--dry-run", check=False)
            assert done.returncode == RetentionRefusedError.exit_code
            assert "remedy: " in done.stderr
    finally:
        shell(f"mv {FILE}.kept {FILE}")
    target = Target(settings, Engine())
    with target.lock.held(target.proxy_image, "a switch"), pytest.raises(RetentionRefusedError, match="a switch"):
        janitor().run(dry_run=False, now=True)
    stack.container("state").stop()
    try:
        with pytest.raises(RetentionRefusedError, match="does not run"):
            janitor().run(dry_run=False, now=True)
    finally:
        stack.container("state").start()
    assert yard.names() == everything

    outcome = janitor().run(dry_run=False, now=True)
    assert yard.names() == everything - {f"glm-tts-slim:{first}"}
    why = {action.item.name.rpartition(":")[2]: action.why for action in outcome.actions if action.item.role}
    assert why[last_good].endswith(("before the newest in the journal", "last good release"))
    assert target.lock.holder() is None

    stack.run("build.cutover", "rollback")
    assert stack.status()["colours"][stack.status()["live"]]["release"]["sha"] == last_good
